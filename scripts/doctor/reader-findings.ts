// Owns the findings about who may read a watched table at all: for each role of ROWCAST_ROLES its grants, and
// whether row security binds it and lets anything through. What policies answer: policy-trial-findings.ts.

import type { RoleRules, TableRules } from '../../server/policies/table-rules.ts';
import { type Finding, quoteName } from './finding.ts';
import type { TableReader, WatchedTable } from './watched-table.ts';

type Standing = 'no_schema' | 'no_grant' | 'sees_all' | 'unprotected' | 'owner' | 'no_policy' | 'restricted' | 'judged';
type Told = Pick<Finding, 'level' | 'message' | 'remedy' | 'sql'>;
type Roles = readonly string[];

/** Roles in the same position share a finding. */
export function readerFindings(table: WatchedTable, rules: TableRules): Finding[] {
  const standings = Map.groupBy(table.readers, (reader) => standingOf(table, reader, rules.roles.get(reader.role)));
  const isSeen = standings.has('judged') || standings.has('owner');
  const findings = [...standings].flatMap(([standing, readers]) => {
    const roles = readers.map(({ role }) => role);
    return standing === 'sees_all' ? [] : [tell[standing](table, roles, rules, isSeen)];
  });
  const topic = `table ${table.name}`;
  return [...findings, ...partlyGranted(table, rules)].map((told) => ({ topic, ...told }));
}

function standingOf(table: WatchedTable, reader: TableReader, rules: RoleRules | undefined): Standing {
  if (!reader.isGranted) return 'no_grant';
  if (!reader.mayUseSchema) return 'no_schema';
  if (!table.hasRowSecurity) return 'unprotected';
  if (reader.seesAll) return 'sees_all';
  if (rules?.isBound !== true) return 'owner';
  if (rules.policies.length === 0) return 'no_policy';
  return rules.policies.some(({ isPermissive }) => isPermissive) ? 'judged' : 'restricted';
}

type Tell = (table: WatchedTable, roles: Roles, rules: TableRules, isSeen: boolean) => Told;

const tell: Readonly<Record<Exclude<Standing, 'sees_all'>, Tell>> = {
  no_grant: ({ relation }, roles) => ({
    level: 'note',
    message: `${roles.join(', ')} may SELECT no column of it, and cannot subscribe`,
    remedy: 'if such users should see it (admins can already):',
    sql: [`grant select on ${relation} to ${quoted(roles)};`],
  }),
  no_schema: ({ schema }, roles) => ({
    level: 'warning',
    message: `${roles.join(', ')} may SELECT it, but not use its schema, and cannot subscribe`,
    remedy: 'run as the owner of the schema',
    sql: [`grant usage on schema ${quoteName(schema)} to ${quoted(roles)};`],
  }),
  unprotected: ({ relation }, roles) => ({
    level: 'warning',
    message: `has no row security: every user of ${roles.join(', ')} sees every row`,
    remedy: 'nothing, if that is meant; else, with policies:',
    sql: [`alter table ${relation} enable row level security;`],
  }),
  owner: ({ relation }, roles) => ({
    level: 'warning',
    message: `${roles.join(', ')} has the rights of its owner, whom row security does not bind: sees every row`,
    remedy: 'nothing, if that is meant; else let another role own it, or (this binds the owner everywhere)',
    sql: [`alter table ${relation} force row level security;`],
  }),
  no_policy: ({ relation }, roles, _, isSeen) => ({
    level: isSeen ? 'note' : 'warning',
    message: `has row security without a SELECT policy for ${roles.join(', ')}: nothing is seen`,
    remedy: 'write one, for example',
    sql: [`create policy own on ${relation} for select to ${quoted(roles)} using (user_id = auth.uid());`],
  }),
  restricted: ({ relation }, roles) => ({
    level: 'warning',
    message: `has only restrictive policies for ${roles.join(', ')}: nothing is seen, for these only take away`,
    remedy: 'add a permissive one, for example',
    sql: [`create policy own on ${relation} for select to ${quoted(roles)} using (user_id = auth.uid());`],
  }),
  judged: (_, roles, rules) => ({
    level: 'ok',
    message: roles.map((role) => `${role} sees rows by ${policiesOf(rules, role)}`).join('; '),
  }),
};

function policiesOf(rules: TableRules, role: string): string {
  const policies = rules.roles.get(role)?.policies ?? [];
  const names = policies.map(({ name, isPermissive }) => (isPermissive ? name : `${name} (restrictive)`));
  return `${names.length === 1 ? 'the policy' : 'the policies'} ${names.join(', ')}`;
}

function partlyGranted({ readers }: WatchedTable, rules: TableRules): Told[] {
  const partly = readers.flatMap(({ role }) => {
    const columns = rules.roles.get(role)?.columns;
    return columns && columns.size > 0 && columns.size < rules.columns.size ? [{ role, columns }] : [];
  });
  return partly.map(({ role, columns }) => ({
    level: 'note',
    message: `${role} gets the columns ${[...columns].join(', ')} and no others, by its grants`,
  }));
}

function quoted(roles: Roles): string {
  return roles.map(quoteName).join(', ');
}
