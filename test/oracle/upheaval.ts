// Owns the transactions that change who may see what: memberships, grants, policies, row security; each with
// rows before and behind it in the same transaction. They run one at a time: each is delivered before the next.

import { escapeIdentifier } from 'pg';
import { APP_ROLES, grantSql, POLICY_NAMES } from './access-plan.ts';
import { TEAMS, USERS } from './column-kind.ts';
import type { Dice } from './dice.ts';
import { mutation } from './mutations.ts';
import type { OracleTable } from './oracle-table.ts';
import { createPolicySql, makeCondition, makePolicy } from './policy-grammar.ts';

/** The statements of one transaction. */
export function upheaval(dice: Dice, tables: readonly OracleTable[]): string[] {
  const rows = (): string[] => Array.from({ length: dice.below(3) }, () => mutation(dice, tables));
  return [...rows(), change(dice, dice.pick(tables)), ...rows(), mutation(dice, tables)];
}

function change(dice: Dice, table: OracleTable): string {
  const roll = dice.below(100);
  if (roll < 40) return membership(dice);
  if (roll < 60) return grants(dice, table);
  if (roll < 90) return policies(dice, table);
  const word = dice.pick(['enable', 'enable', 'disable', 'force', 'no force']);
  return `alter table ${table.sql} ${word} row level security`;
}

function membership(dice: Dice): string {
  const [team, user] = [dice.pick(TEAMS), dice.pick(USERS)];
  if (dice.chance(0.6)) return `insert into public.member values (${team}, '${user}')`;
  return dice.chance(0.5)
    ? `delete from public.member where team = ${team}`
    : `delete from public.member where member = '${user}'`;
}

function grants(dice: Dice, table: OracleTable): string {
  const role = dice.pick([...APP_ROLES, 'oracle_base']);
  if (dice.chance(0.6)) return grantSql(dice, table, role);
  if (dice.chance(0.5)) return `revoke select on ${table.sql} from ${role}`;
  const column = dice.pick(table.columns).name;
  return `revoke select (${escapeIdentifier(column)}) on ${table.sql} from ${role}`;
}

function policies(dice: Dice, table: OracleTable): string {
  const name = dice.pick(POLICY_NAMES);
  const quoted = escapeIdentifier(name);
  const drop = `drop policy if exists ${quoted} on ${table.sql}`;
  if (dice.chance(0.25)) return drop;
  const created = `${drop}; ${createPolicySql(table, makePolicy(dice, table, name))}`;
  if (dice.chance(0.5)) return created;
  return `${created}; alter policy ${quoted} on ${table.sql} using (${makeCondition(dice, table)})`;
}
