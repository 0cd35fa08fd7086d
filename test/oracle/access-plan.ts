// Owns what binds the readers of a random table at the beginning of a case: grants, row security, policies;
// as SQL text, and as a list of what later phases may change.

import { escapeIdentifier } from 'pg';
import type { Dice } from './dice.ts';
import { type OracleTable, SIDE_SCHEMA } from './oracle-table.ts';
import { createPolicySql, makePolicy } from './policy-grammar.ts';

/** Roles of the subscribers; `oracle_lead` inherits from `oracle_base`, which nobody is. */
export const APP_ROLES: readonly string[] = ['anon', 'authenticated', 'oracle_lead'];

/** Roles belong to the cluster: made once, left to the other tests. */
export const ROLES_SQL = `do $$
begin
  if not exists (select from pg_roles where rolname = 'oracle_base') then create role oracle_base nologin; end if;
  if not exists (select from pg_roles where rolname = 'oracle_lead') then
    create role oracle_lead nologin inherit in role oracle_base;
  end if;
exception when duplicate_object or unique_violation then null;
end $$`;

/** The policy names that a table may have; p1 to p3 first. */
export const POLICY_NAMES: readonly string[] = ['p1', 'p2', 'P "3"', 'a4'];

export function accessSql(dice: Dice, tables: readonly OracleTable[]): string {
  const ground = `grant usage on schema ${escapeIdentifier(SIDE_SCHEMA)} to authenticated, oracle_base;`;
  return [ground, ...tables.map((table) => tableAccess(dice, table))].join('\n');
}

function tableAccess(dice: Dice, table: OracleTable): string {
  const grants = ['anon', 'authenticated', dice.pick(['oracle_lead', 'oracle_base'])].map((role) =>
    grantSql(dice, table, role),
  );
  if (dice.chance(0.15)) return grants.join('\n');
  const policies = POLICY_NAMES.slice(0, dice.between(1, 3)).map((name, index) => {
    const policy = makePolicy(dice, table, name);
    return createPolicySql(table, index === 0 ? { ...policy, isRestrictive: false, role: 'public' } : policy);
  });
  const secured = `alter table ${table.sql} enable row level security`;
  return [...grants, secured, ...policies].map((sql) => `${sql};`).join('\n');
}

/** Some or all columns to a role; seldom none. */
export function grantSql(dice: Dice, table: OracleTable, role: string): string {
  if (dice.chance(0.08)) return `revoke select on ${table.sql} from ${role};`;
  if (dice.chance(0.65)) return `grant select on ${table.sql} to ${role};`;
  const names = table.columns.filter(({ isKey }) => isKey || dice.chance(0.6)).map(({ name }) => name);
  const some = dice.chance(0.15)
    ? dice.some(
        table.columns.map(({ name }) => name),
        0.4,
      )
    : names;
  return `grant select (${(some.length > 0
    ? some
    : dice.sample(
        table.columns.map(({ name }) => name),
        2,
      )
  )
    .map((name) => escapeIdentifier(name))
    .join(', ')}) on ${table.sql} to ${role};`;
}
