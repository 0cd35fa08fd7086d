// Owns what admins are told of a watched table: how it is published, and what of it each role of ROWCAST_ROLES
// gets, with whatever stands in the way and the statement that would change it.

import { quoteIdentifier } from '../db/quoting.ts';
import type { TableName } from '../protocol/channel-name.ts';
import type { Warning } from '../protocol/server-frame.ts';
import { type TableReport, tableReport } from './table-report.ts';
import { mayRead, type TableRules } from './table-rules.ts';

/** What the channels room knows of a watched table. */
export type WatchedFacts = TableName & {
  readonly channel: string;
  readonly channelId: string;
  readonly isEnabled: boolean;
  readonly oid: number | null;
  readonly isWatched: boolean;
  readonly isComplete: boolean;
  readonly identityGap: string | null;
  readonly isFull: boolean;
  readonly hasRowSecurity: boolean;
  readonly openTo: readonly string[];
};

type RoleReport = Pick<TableReport, 'columns' | 'rowSecurity' | 'policies' | 'warnings'> & {
  readonly role: string;
  /** Whether the policy of the watching lets it subscribe; other policies may as well. */
  readonly opened: boolean;
};

export type WatchedTableReport = Pick<TableReport, 'complete' | 'identity' | 'identityGap' | 'columns' | 'warnings'> &
  TableName & {
    readonly channel: string;
    readonly channelId: string;
    readonly enabled: boolean;
    /** Whether the table has row security at all. */
    readonly rowSecurity: boolean;
    readonly roles: readonly RoleReport[];
  };

const ADMIN = { role: '', isAdmin: true };

/** `rules` is undefined where the table is gone; `roles` is the allow-list. */
export function watchedTableReport(
  facts: WatchedFacts,
  rules: TableRules | undefined,
  roles: readonly string[],
): WatchedTableReport {
  const { schema, table, channel, channelId, isEnabled: enabled, hasRowSecurity: rowSecurity } = facts;
  const named = { schema, table, channel, channelId, enabled, rowSecurity };
  if (rules === undefined || facts.oid === null) return { ...named, ...GONE };
  const { complete, identity, identityGap, columns, warnings } = tableReport(ADMIN, rules, factsOf(facts, facts.oid));
  return {
    ...{ ...named, complete, identity, identityGap, columns },
    roles: roles.filter((role) => rules.roles.has(role)).map((role) => roleReport(role, facts, rules)),
    warnings: [...unpublished(facts), ...warnings],
  };
}

const GONE = {
  complete: false,
  identity: 'none',
  identityGap: null,
  columns: [],
  roles: [],
  warnings: [{ code: 'table_missing', message: 'There is no such table: make it again, or end the watching' }],
} as const;

function roleReport(role: string, facts: WatchedFacts, rules: TableRules): RoleReport {
  const viewer = { role, isAdmin: false };
  const { columns, rowSecurity, policies, warnings } = tableReport(viewer, rules, factsOf(facts, rules.oid));
  const opened = facts.openTo.includes(role);
  return { role, opened, columns, rowSecurity, policies, warnings: [...standing(role, facts, rules), ...warnings] };
}

function factsOf({ isWatched, isComplete, identityGap, isFull }: WatchedFacts, oid: number) {
  return { oid, isWatched, isComplete, identityGap, isFull, watch: '' };
}

function unpublished({ isWatched, schema, table }: WatchedFacts): readonly Warning[] {
  if (isWatched) return [];
  const statement = `select realtime.watch('${relationOf({ schema, table }).replaceAll("'", "''")}');`;
  return [{ code: 'not_published', message: `No publication of Rowcast's holds it; run as its owner: ${statement}` }];
}

function standing(
  role: string,
  { hasRowSecurity, schema, table }: WatchedFacts,
  rules: TableRules,
): readonly Warning[] {
  if (!mayRead(rules.roles.get(role))) {
    const statement = `grant select on ${relationOf({ schema, table })} to ${quoteIdentifier(role)};`;
    return [{ code: 'no_grant', message: `The role may read no column, and cannot subscribe: ${statement}` }];
  }
  if (hasRowSecurity) return [];
  return [{ code: 'row_security_off', message: 'The table has no row security: the role sees every row' }];
}

function relationOf({ schema, table }: TableName): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`;
}
