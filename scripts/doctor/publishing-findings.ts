// Owns the findings about how the changes of a watched table travel: whether a publication carries it, and by
// which identity, that is, what is not told without whole old rows.

import { quoteLiteral } from '../../server/db/quoting.ts';
import { policyCondition } from '../../server/policies/row-condition.ts';
import { mayRead, type RoleRules, type TableRules } from '../../server/policies/table-rules.ts';
import { type Finding, quoteName } from './finding.ts';
import type { WatchedTable } from './watched-table.ts';

/** `prefix` is that of the publications. */
export function publishingFindings(table: WatchedTable, rules: TableRules, prefix: string): Finding[] {
  return [judgeIdentity(table, rules), ...judgePublished(table, prefix)];
}

const KEY_ONLY =
  'old rows hold the key only: to who subscribes with a where, rows that an UPDATE brings into it or out of it are not told';

function judgeIdentity(table: WatchedTable, rules: TableRules): Finding {
  const topic = `table ${table.name}`;
  if (table.gap !== null) {
    return {
      level: 'warning',
      topic,
      message: `${table.gap}, so only inserts and truncates are delivered`,
      remedy: 'add a primary key (or a unique index as replica identity)',
      sql: [`alter table ${table.relation} add primary key (…);`],
    };
  }
  if (table.identity === 'f') return { level: 'ok', topic, message: 'replica identity full: old rows are delivered' };
  const bound = [...rules.roles].filter(([, role]) => isBound(role));
  const isBinding = bound.length > 0;
  return {
    level: isBinding ? 'warning' : 'note',
    topic,
    message: isBinding ? notTold(table, rules, bound) : KEY_ONLY,
    ...fullIdentity(table),
  };
}

function notTold({ key }: WatchedTable, rules: TableRules, bound: readonly [string, RoleRules][]): string {
  const untold = bound.filter(([, role]) => !isDecidedBy(new Set(key), rules, role)).map(([name]) => name);
  const updates =
    'row security without replica identity full: rows that come into view or leave it by an UPDATE are not told ' +
    `to ${namesOf(bound)}`;
  if (untold.length === 0) return updates;
  return `${updates}, and no DELETE to ${untold.join(', ')}, whose policies read more than the key (${key.join(', ')})`;
}

function isDecidedBy(present: ReadonlySet<string>, rules: TableRules, role: RoleRules): boolean {
  const condition = policyCondition(rules, role, present);
  return condition.kind === 'ask' ? !condition.isPartial : condition.kind !== 'unknown';
}

function isBound(role: RoleRules): boolean {
  return mayRead(role) && role.isBound && role.policies.some(({ isPermissive }) => isPermissive);
}

function namesOf(roles: readonly [string, RoleRules][]): string {
  return roles.map(([name]) => name).join(', ');
}

function fullIdentity({ relation, fullRefusal }: WatchedTable): Pick<Finding, 'remedy' | 'sql'> {
  if (fullRefusal !== null) return { remedy: `nothing: full would break the app's writes (${fullRefusal})` };
  const sql = [`select realtime.watch(${quoteLiteral(relation)}, full => true);`];
  return { remedy: 'where that matters (it costs WAL):', sql };
}

function judgePublished({ name, relation, carriers, gap }: WatchedTable, prefix: string): Finding[] {
  if (carriers.length > 0) return [];
  const message = 'is watched, but in no publication, so nothing is delivered';
  const remedy = 'run as the owner of the table and the publication';
  const publication = gap === null ? prefix : `${prefix}_inserts`;
  const sql = [`alter publication ${quoteName(publication)} add table only ${relation};`];
  return [{ level: 'problem', topic: `table ${name}`, message, remedy, sql }];
}
