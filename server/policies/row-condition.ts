// Owns what must be true of a row image for a role to see it, and for a `where` to want it: a constant, or SQL
// over the columns that the image has. What an image lacks cannot be judged, and is never taken as null.

import type { Where } from '../protocol/where.ts';
import { columnsOf } from '../protocol/where.ts';
import { type ColumnRule, mayRead, type PolicyRule, type RoleRules, type TableRules } from './table-rules.ts';
import { whereSql } from './where-sql.ts';

export type AskedCondition = {
  readonly kind: 'ask';
  readonly sql: string;
  /** Columns whose texts the image must give. */
  readonly needed: ReadonlySet<string>;
  /** Generated columns that follow from them. */
  readonly computed: readonly ColumnRule[];
  /** Policies that might have let the row through could not be asked: not true means unknown. */
  readonly isPartial: boolean;
};

export type RowCondition =
  /** The same for every image; `unknown` where the image lacks what would decide. */
  { readonly kind: 'yes' | 'no' | 'unknown' } | AskedCondition;

const YES: RowCondition = { kind: 'yes' };
const NO: RowCondition = { kind: 'no' };
const UNKNOWN: RowCondition = { kind: 'unknown' };

/** What the policies say for `role` of images that have the columns `present`. */
export function policyCondition(
  rules: TableRules,
  role: RoleRules | undefined,
  present: ReadonlySet<string>,
): RowCondition {
  if (!mayRead(role)) return NO;
  if (!role.isBound) return YES;
  const permissive = role.policies.filter(({ isPermissive }) => isPermissive);
  if (permissive.length === 0) return NO;
  const isJudgeable = (policy: PolicyRule): boolean => isGiven(rules, present, policy);
  const restrictive = role.policies.filter(({ isPermissive }) => !isPermissive);
  const asked = permissive.filter(isJudgeable);
  if (asked.length === 0 || !restrictive.every(isJudgeable)) return UNKNOWN;
  // In the order of Postgres, which tells whether one that raises is reached: restrictive ones first, by name, then
  // the permissive ones from the last name to the first (relcache keeps them so, rowsecurity.c).
  const allowed = asked
    .map(({ using }) => `(${using})`)
    .reverse()
    .join(' or ');
  const sql = [...restrictive.map(({ using }) => `(${using})`), `(${allowed})`].join(' and ');
  const read = [...asked, ...restrictive];
  const columns = read.some(({ readsWholeRow }) => readsWholeRow)
    ? [...rules.columns.keys()]
    : read.flatMap((policy) => policy.columns);
  return ask(rules, present, sql, columns, asked.length < permissive.length);
}

/** What `where` says of images that have the columns `present`. A column that the role may not read decides nothing. */
export function whereCondition(
  rules: TableRules,
  granted: ReadonlySet<string> | null,
  where: Where,
  present: ReadonlySet<string>,
): RowCondition {
  const columns = [...columnsOf(where)];
  const isReadable = (name: string): boolean => rules.columns.has(name) && (granted === null || granted.has(name));
  if (!columns.every(isReadable)) return NO;
  if (!columns.every((name) => isColumnGiven(rules, present, name))) return UNKNOWN;
  return ask(rules, present, whereSql(where, rules), columns, false);
}

/** Whether images with the columns `present` have all that `policy` reads. */
export function isGiven(rules: TableRules, present: ReadonlySet<string>, policy: PolicyRule): boolean {
  const columns = policy.readsWholeRow ? [...rules.columns.keys()] : policy.columns;
  return columns.every((name) => isColumnGiven(rules, present, name));
}

function isColumnGiven(rules: TableRules, present: ReadonlySet<string>, name: string): boolean {
  if (present.has(name)) return true;
  return rules.columns.get(name)?.generated?.columns.every((source) => present.has(source)) ?? false;
}

function ask(
  rules: TableRules,
  present: ReadonlySet<string>,
  sql: string,
  columns: readonly string[],
  isPartial: boolean,
): RowCondition {
  const computed = [...new Set(columns)].flatMap((name) => {
    const column = rules.columns.get(name);
    return column === undefined || present.has(name) ? [] : [column];
  });
  const sources = computed.flatMap(({ generated }) => generated?.columns ?? []);
  const needed = new Set([...columns, ...sources].filter((name) => present.has(name)));
  return { kind: 'ask', sql, needed, computed, isPartial };
}
