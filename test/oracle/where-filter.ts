// Owns random `where` filters, each in two forms that know nothing of each other: the JSON that a subscriber
// sends, and the SQL that it stands for.

import { escapeIdentifier } from 'pg';
import { CODES, type Kind, type OracleColumn, STATES, TEAMS, TENANTS, USERS } from './column-kind.ts';
import type { Dice } from './dice.ts';

export type WhereFilter = {
  readonly json: object;
  readonly sql: string;
  readonly columns: readonly string[];
};

type Leaf = (column: string, c: string, dice: Dice) => { readonly json: object; readonly sql: string };
type Comparison = readonly [name: string, operator: string];

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const EQUALITY: readonly Comparison[] = [
  ['eq', '='],
  ['neq', '<>'],
];
const ORDER: readonly Comparison[] = [...EQUALITY, ['gt', '>'], ['gte', '>='], ['lt', '<'], ['lte', '<=']];

/** A comparison with one of `values`. */
function comparing(values: readonly (string | number)[], comparisons: readonly Comparison[]): Leaf {
  return (column, c, dice) => {
    const value = dice.pick(values);
    const [name, operator] = dice.pick(comparisons);
    const json = name === 'eq' && dice.chance(0.5) ? { [column]: value } : { [column]: { [name]: value } };
    return { json, sql: `${c} ${operator} ${typeof value === 'number' ? value : quote(value)}` };
  };
}

function among(values: readonly (string | number)[]): Leaf {
  return (column, c, dice) => {
    const some = dice.some(values, 0.5);
    const list = some.map((value) => (typeof value === 'number' ? value : quote(value)));
    return { json: { [column]: { in: some } }, sql: `${c} in (${list.join(', ')})` };
  };
}

const like: Leaf = (column, c, dice) => {
  const pattern = dice.pick(['%a%', 'S%', '_eta', '%']);
  const operator = dice.pick(['like', 'ilike']);
  return { json: { [column]: { [operator]: pattern } }, sql: `${c} ${operator} ${quote(pattern)}` };
};

const nothing: Leaf = (column, c, dice) =>
  dice.chance(0.5)
    ? { json: { [column]: null }, sql: `${c} is null` }
    : { json: { [column]: { is: 'not null' } }, sql: `${c} is not null` };

const truth: Leaf = (column, c, dice) => {
  const value = dice.chance(0.5);
  return dice.chance(0.5)
    ? { json: { [column]: { is: value } }, sql: `${c} is ${value}` }
    : { json: { [column]: value }, sql: `${c} = ${value}` };
};

const LEAVES: Partial<Record<Kind, readonly Leaf[]>> = {
  number: [comparing([3, 10, 20, 30], ORDER), among([1, 2, 3, 5, 8, 13, 21])],
  long: [comparing([0, 1, '9007199254740993'], ORDER)],
  word: [comparing(['a', 'B', 'g"h', 'ü'], ORDER), like],
  owner: [comparing(USERS, EQUALITY), among(USERS), nothing],
  tenant: [comparing(TENANTS, ORDER), among(TENANTS), nothing],
  team: [comparing(TEAMS, ORDER), among(TEAMS)],
  open: [truth, truth, nothing],
  amount: [comparing([0, 1.5, 100, '99.99'], ORDER)],
  made: [comparing(['2024-06-01T10:00:00.25Z', '2024-06-01T12:00:00+02:00'], ORDER), nothing],
  state: [comparing(STATES, ORDER), among(STATES)],
  code: [comparing(CODES, ORDER), like],
  body: [like, nothing],
};

/** A filter over `columns`; undefined where none of them can be asked. */
export function makeWhere(dice: Dice, columns: readonly OracleColumn[], depth = 2): WhereFilter | undefined {
  const askable = columns.filter(({ kind }) => LEAVES[kind] !== undefined);
  if (askable.length === 0) return undefined;
  if (depth > 0 && dice.chance(0.3)) return connective(dice, askable, depth);
  const column = dice.pick(askable);
  const leaf = dice.pick(LEAVES[column.kind] ?? [])(column.name, escapeIdentifier(column.name), dice);
  return { ...leaf, sql: `(${leaf.sql})`, columns: [column.name] };
}

function connective(dice: Dice, columns: readonly OracleColumn[], depth: number): WhereFilter {
  const term = (): WhereFilter => makeWhere(dice, columns, depth - 1) as WhereFilter;
  if (dice.chance(0.25)) {
    const inner = term();
    return { json: { not: inner.json }, sql: `(not ${inner.sql})`, columns: inner.columns };
  }
  const [left, right] = [term(), term()];
  const word = dice.chance(0.7) ? 'or' : 'and';
  return {
    json: { [word]: [left.json, right.json] },
    sql: `(${left.sql} ${word} ${right.sql})`,
    columns: [...new Set([...left.columns, ...right.columns])],
  };
}
