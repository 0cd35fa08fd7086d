// Owns random tables: columns, key, replica identity, and the SQL that makes them. What binds readers of them
// (grants, row security, policies) is access-plan.ts's.

import { escapeIdentifier } from 'pg';
import { KINDS, type Kind, type OracleColumn } from './column-kind.ts';
import type { Dice } from './dice.ts';

export type OracleTable = {
  readonly schema: string;
  readonly name: string;
  /** Quoted and qualified. */
  readonly sql: string;
  readonly channel: string;
  readonly columns: readonly OracleColumn[];
  readonly hasKey: boolean;
  readonly isFull: boolean;
};

const TABLE_NAMES = ['items', 'Order Items', 'we"ird', 'z', 'i', 'docs', '__rc_o', 'images'];
const KEY_KINDS: readonly Kind[] = ['number', 'long', 'word', 'unique'];
const KEY_NAMES = ['id', 'Id', 'key "1"', 'ID'];
const COMMON: readonly Kind[] = ['owner', 'open', 'tenant'];
const RARE: readonly Kind[] = ['team', 'tags', 'amount', 'made', 'meta', 'state', 'code', 'body', 'long', 'number'];

export const SIDE_SCHEMA = 'Side Room';

/** `count` tables: the first has a key and full images, so that copies can be kept, the second a key alone. */
export function makeTables(dice: Dice, count: number): OracleTable[] {
  return dice.sample(TABLE_NAMES, count).map((name, index) => makeTable(dice, name, index));
}

function makeTable(dice: Dice, name: string, index: number): OracleTable {
  const hasKey = index < 2 || dice.chance(0.85);
  const isFull = index === 0 || (index > 1 && dice.chance(hasKey ? 0.5 : 0.4));
  const schema = index > 0 && dice.chance(0.25) ? SIDE_SCHEMA : 'public';
  // Full images of a table with generated columns would make the app's own writes fail.
  const columns = makeColumns(dice, hasKey, !isFull && dice.chance(0.3));
  return {
    schema,
    name,
    sql: `${escapeIdentifier(schema)}.${escapeIdentifier(name)}`,
    channel: `db:${schema === 'public' ? '' : `${escapeIdentifier(schema)}.`}${escapeIdentifier(name)}`,
    columns,
    hasKey,
    isFull,
  };
}

function makeColumns(dice: Dice, hasKey: boolean, isGenerating: boolean): OracleColumn[] {
  const taken = new Set<string>();
  const column = (kind: Kind, isKey: boolean): OracleColumn => {
    const rule = KINDS[kind];
    const free = (isKey ? KEY_NAMES : rule.names).filter((name) => !taken.has(name));
    const name = dice.pick(free.length > 0 ? free : [`${kind} ${taken.size}`]);
    taken.add(name);
    return { name, kind, type: dice.pick(rule.types), isKey };
  };
  const keys = [column(dice.pick(KEY_KINDS), hasKey)];
  // A key that policies can read alone.
  if (dice.chance(0.35)) keys.push({ ...column(dice.pick(['tenant', 'owner', 'team']), hasKey) });
  const kinds = [...COMMON, ...dice.some(RARE, 0.45), ...(isGenerating ? (['closed'] as const) : [])];
  const others = kinds.map((kind) => column(kind, false));
  return [...keys, ...dice.sample(others, others.length)];
}

/** Makes the table and watches it. */
export function createTableSql(table: OracleTable): string {
  const { sql, columns, hasKey, isFull } = table;
  const keys = columns.filter(({ isKey }) => isKey).map(({ name }) => escapeIdentifier(name));
  const open = escapeIdentifier(columns.find(({ kind }) => kind === 'open')?.name ?? '');
  const lines = columns.map(({ name, type, kind }) => {
    const generated = kind === 'closed' ? ` generated always as (${open} is not true) stored` : '';
    return `${escapeIdentifier(name)} ${type}${generated}`;
  });
  if (hasKey) lines.push(`primary key (${keys.join(', ')})`);
  const apart = columns
    .filter(({ kind }) => kind === 'body')
    .map(({ name }) => `alter table ${sql} alter ${escapeIdentifier(name)} set storage external;`);
  return `create table ${sql} (${lines.join(', ')}); ${apart.join(' ')}
    select realtime.watch('${sql.replaceAll("'", "''")}', ${isFull});`;
}

/** The columns that DELETE is known by; none without a key. */
export function keyOf({ columns }: OracleTable): readonly string[] {
  return columns.filter(({ isKey }) => isKey).map(({ name }) => name);
}
