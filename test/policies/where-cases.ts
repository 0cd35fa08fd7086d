// Owns the random filters of the where oracle, as clients write them, and what they say in SQL: printed from the
// JSON itself, every value a parameter whose type Postgres finds by its own rules. Nothing here is the product's.

import { type JsonValue, type Kind, pick, type Random, upTo } from './where-kinds.ts';

export type Column = { readonly name: string; readonly kind: Kind };
export type Filter = { readonly [key: string]: unknown };

const COMPARISONS = { eq: '=', neq: '<>', gt: '>', gte: '>=', lt: '<', lte: '<=' } as const;

/** A filter out of the whole grammar over some of the columns. */
export function randomFilter(random: Random, columns: readonly Column[], depth = 0): Filter {
  const roll = depth >= 4 ? 1 : random();
  const nested = () => randomFilter(random, columns, depth + 1);
  if (roll < 0.14) return { not: nested() };
  if (roll < 0.3) return { or: Array.from({ length: 1 + upTo(random, 3) }, nested) };
  if (roll < 0.37) return { and: Array.from({ length: 1 + upTo(random, 1) }, nested) };
  const entries = Array.from({ length: pick(random, [1, 1, 1, 1, 2]) }, () => {
    const column = pick(random, columns);
    const given = condition(random, column.kind);
    // A column of such a name needs an operator.
    const needsOperator =
      (column.name === 'and' || column.name === 'or') && (given === null || typeof given !== 'object');
    return [column.name, needsOperator ? { [given === null ? 'is' : 'eq']: given } : given] as const;
  });
  const mixed = roll < 0.43 ? [...entries, ['not', nested()] as const] : entries;
  return Object.fromEntries(mixed);
}

function condition(random: Random, kind: Kind): unknown {
  if (kind.value === undefined) return random() < 0.5 ? null : { is: pick(random, [null, 'not null']) };
  const value = kind.value(random);
  if (random() < 0.15 && !Array.isArray(value)) return value;
  if (random() < 0.04) return null;
  const first = operator(random, kind);
  return Object.fromEntries(random() < 0.2 ? [first, operator(random, kind)] : [first]);
}

function operator(random: Random, kind: Kind): readonly [string, unknown] {
  const roll = random();
  const value = () => (kind.value as (random: Random) => JsonValue)(random);
  if (roll < 0.08) return ['is', pick(random, kind.isBoolean ? [null, 'not null', true, false] : [null, 'not null'])];
  if (roll < 0.2) return ['in', Array.from({ length: 1 + upTo(random, 4) }, value)];
  if (roll < 0.45 && kind.likes !== undefined) {
    return [kind.likes === 'both' && random() < 0.5 ? 'ilike' : 'like', pattern(random, kind)];
  }
  return [pick(random, ['eq', 'neq', 'neq', 'gt', 'gte', 'gte', 'lt', 'lte', 'lte']), value()];
}

function pattern(random: Random, kind: Kind): string {
  const literal = [...kind.row(random)].map((character) => {
    const roll = random();
    if (roll < 0.15) return '_';
    return roll < 0.3 || '\\%_'.includes(character) ? `\\${character}` : character;
  });
  const part = literal.slice(upTo(random, 1)).join('');
  return pick(random, [`${part}%`, `%${part}`, `%${part}%`, part, '%', '_%', `${part}  `, `%\\\\%`]);
}

/** What the filter says, in SQL; its values are put into `parameters`. */
export function sqlOf(filter: Filter, columns: readonly Column[], parameters: unknown[]): string {
  const terms = Object.entries(filter).map(([key, value]) => {
    if (key === 'not') return `not (${sqlOf(value as Filter, columns, parameters)})`;
    if ((key !== 'and' && key !== 'or') || !Array.isArray(value)) return columnSql(key, value, columns, parameters);
    return (value as Filter[]).map((term) => `(${sqlOf(term, columns, parameters)})`).join(` ${key} `);
  });
  return terms.map((term) => `(${term})`).join(' and ');
}

function columnSql(name: string, value: unknown, columns: readonly Column[], parameters: unknown[]): string {
  const type = columns.find((column) => column.name === name)?.kind.parameter;
  const parameter = (given: unknown): string => {
    parameters.push(asText(given));
    return type === undefined ? `$${parameters.length}` : `$${parameters.length}::${type}`;
  };
  const quoted = `"${name.split('"').join('""')}"`;
  if (value === null) return `${quoted} is null`;
  if (typeof value !== 'object') return `${quoted} = ${parameter(value)}`;
  const terms = Object.entries(value as Record<string, unknown>).map(([word, given]) => {
    if (word === 'is') return `${quoted} is ${given === null ? 'null' : String(given)}`;
    if (word === 'in') return `${quoted} in (${(given as unknown[]).map(parameter).join(', ')})`;
    if (word === 'like' || word === 'ilike') return `${quoted} ${word} ${parameter(given)}`;
    return `${quoted} ${COMPARISONS[word as keyof typeof COMPARISONS]} ${parameter(given)}`;
  });
  return terms.join(' and ');
}

/** The driver writes arrays by itself. */
function asText(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(asText);
  return value === null ? null : String(value);
}
