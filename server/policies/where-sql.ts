// Owns what a `where` means in SQL: a boolean expression over the quoted names of the columns, with SQL's own
// three-valued logic. Literals are cast to the base type of the column without its modifier, as a comparison
// written in SQL would: 1.234 is not rounded to the scale of the column. Whether columns and literals are good
// is where-check.ts's.

import { quoteIdentifier, quoteLiteral } from '../db/quoting.ts';
import type { Comparison, Where, WhereArrayItem, WhereLeaf, WhereValue } from '../protocol/where.ts';
import type { ColumnRule, TableRules } from './table-rules.ts';

const COMPARISONS: Readonly<Record<Comparison, string>> = {
  eq: '=',
  neq: '<>',
  gt: '>',
  gte: '>=',
  lt: '<',
  lte: '<=',
};
const ARRAY_SPECIAL = /["\\]/g;

/** Boolean SQL over the columns that `where` names. Throws on a column that `rules` does not know. */
export function whereSql(where: Where, rules: Pick<TableRules, 'columns'>): string {
  if (where.kind === 'not') return `(not ${whereSql(where.term, rules)})`;
  if ('terms' in where) {
    return `(${where.terms.map((term) => whereSql(term, rules)).join(` ${where.kind} `)})`;
  }
  const column = rules.columns.get(where.column);
  if (column === undefined) throw new RangeError('a where names a column that the table does not have');
  return leafSql(where, column, quoteIdentifier(column.name));
}

/** A longer text matches no pattern: matching costs the length of the one times that of the other, and cannot be cancelled. */
export const MAX_MATCHED_BYTES = 64 * 1024;

// The pattern is a text whatever the column is: a char(n) would lose its trailing blanks.
function likeSql({ ignoresCase, pattern }: Extract<WhereLeaf, { kind: 'like' }>, operand: string): string {
  const isShort = `pg_catalog.octet_length((${operand})::text) <= ${MAX_MATCHED_BYTES}`;
  return `(case when ${isShort} then ${operand} ${ignoresCase ? 'ilike' : 'like'} ${quoteLiteral(pattern)}::text end)`;
}

/** One leaf, of `operand` instead of the column itself. */
export function leafSql(leaf: WhereLeaf, column: ColumnRule, operand: string): string {
  switch (leaf.kind) {
    case 'compare':
      return `(${operand} ${COMPARISONS[leaf.operator]} ${literalSql(leaf.value, column)})`;
    case 'in':
      return `(${operand} in (${leaf.values.map((value) => literalSql(value, column)).join(', ')}))`;
    case 'like':
      return likeSql(leaf, operand);
    case 'is':
      return `(${operand} is ${leaf.what})`;
  }
}

/** `'…'::type`: numbers and booleans by their text, arrays as Postgres reads them. */
export function literalSql(value: WhereValue, { literalType }: ColumnRule): string {
  return `${quoteLiteral(Array.isArray(value) ? arrayText(value) : String(value))}::${literalType}`;
}

// Every item quoted, so that none is read as NULL. https://www.postgresql.org/docs/18/arrays.html#ARRAYS-IO
function arrayText(items: readonly WhereArrayItem[]): string {
  const texts = items.map((item) => {
    if (item === null) return 'NULL';
    return Array.isArray(item) ? arrayText(item) : `"${String(item).replace(ARRAY_SPECIAL, '\\$&')}"`;
  });
  return `{${texts.join(',')}}`;
}
