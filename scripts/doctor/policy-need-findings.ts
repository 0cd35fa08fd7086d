// Owns the findings about policies that cannot work whatever the row: the role lacks what they name, or they
// read what the stream does not carry. Told by the catalogue, without asking the policies.

import { mayRead, type RoleRules, type TableRules } from '../../server/policies/table-rules.ts';
import type { Finding } from './finding.ts';
import type { PolicyNeed, SystemColumnUse } from './policy-need.ts';
import type { WatchedTable } from './watched-table.ts';

export type KnownFaults = { readonly needs: readonly PolicyNeed[]; readonly systemColumns: readonly SystemColumnUse[] };

/** Those that concern a role which would see rows by the policy. */
export function policyNeedFindings(table: WatchedTable, rules: TableRules, faults: KnownFaults): Finding[] {
  const topic = `table ${table.name}`;
  return [...lacks(table, rules, faults), ...systemColumns(table, rules, faults)].map((told) => ({ topic, ...told }));
}

/** Whether it is known from the catalogue that the policy raises for the role. */
export function isKnownToRaise(
  { needs, systemColumns }: KnownFaults,
  relid: number,
  policy: string,
  role: string,
): boolean {
  return (
    needs.some((need) => need.raises && need.relid === relid && need.policy === policy && need.role === role) ||
    systemColumns.some((use) => use.relid === relid && use.policy === policy)
  );
}

type Told = Omit<Finding, 'topic'>;

function lacks({ oid }: WatchedTable, rules: TableRules, { needs }: KnownFaults): Told[] {
  const concerning = needs.filter(({ relid, role, policy }) => relid === oid && binds(rules.roles.get(role), policy));
  const same = Map.groupBy(concerning, ({ lack, raises }) => `${raises} ${lack}`);
  return [...same.values()].map((group) => {
    const { lack, raises } = group[0] as PolicyNeed;
    const who = distinct(group.map(({ role }) => role)).join(', ');
    const effect = raises ? 'so it raises (42501), and nothing is seen' : 'so it may let nothing through';
    return {
      level: 'warning',
      message: `policy ${distinct(group.map(({ policy }) => policy)).join(', ')}: ${who} ${lack}, ${effect}`,
      remedy: 'run as the owner, or ask that in a function that is security definer',
      sql: distinct(group.map(({ grant }) => grant)),
    };
  });
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}

function systemColumns({ oid }: WatchedTable, rules: TableRules, faults: KnownFaults): Told[] {
  return faults.systemColumns.flatMap(({ relid, policy, columns }) => {
    const roles = [...rules.roles].filter(([, role]) => binds(role, policy)).map(([name]) => name);
    if (relid !== oid || roles.length === 0) return [];
    return {
      level: 'warning',
      message: `policy ${policy} reads ${columns.join(', ')}, which no change carries: it cannot be judged, and shows ${roles.join(', ')} nothing`,
      remedy: 'write it without system columns',
    };
  });
}

function binds(role: RoleRules | undefined, policy: string): boolean {
  return role !== undefined && mayRead(role) && role.isBound && role.policies.some(({ name }) => name === policy);
}
