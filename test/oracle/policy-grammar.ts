// Owns the grammar of policies: conditions of every shape that policies of apps have, and some that are
// hostile, over whatever columns a table has. Only SQL text is made here; judging is Postgres's.

import { escapeIdentifier } from 'pg';
import { CODES, type Kind, STATES, TEAMS, TENANTS } from './column-kind.ts';
import type { Dice } from './dice.ts';
import type { OracleTable } from './oracle-table.ts';

export type OraclePolicy = {
  readonly name: string;
  readonly isRestrictive: boolean;
  readonly role: string;
  readonly command: 'select' | 'all';
  readonly condition: string;
};

/** Types, tables and functions that the policies of all tables use. */
export const POLICY_GROUND = `
  create type public.oracle_state as enum ('${STATES.map((state) => state.replaceAll("'", "''")).join("', '")}');
  create table public.member (team int, member text);
  grant select on public.member to public;
  create function public.claim(wanted text) returns text language sql stable
    as $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> wanted $$;
  create function public.in_team(wanted int) returns boolean language sql stable security definer set search_path = ''
    as $$ select exists (select from public.member m where m.team = wanted
      and m.member = nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub') $$;
  create function public.is_mine(whose uuid) returns boolean language plpgsql stable
    as $$ declare me constant uuid := auth.uid(); begin return whose = me; end $$;
  create function public.frozen_tenant() returns text language plpgsql immutable
    as $$ begin return claim('tenant'); end $$;`;

/** Memberships that everybody sees only of himself. */
export const MEMBERS_SECURED = `alter table public.member enable row level security;
  create policy own on public.member for select to public using (member = public.claim('sub'));`;

/** What one kind of column can be asked; `c` is the column, qualified by its table. */
type Atom = (c: string, dice: Dice) => string;

const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const MEMBER = `coalesce(auth.jwt() ->> 'sub', '')`;

const ATOMS: Partial<Record<Kind, readonly Atom[]>> = {
  owner: [
    (c) => `${c} = auth.uid()`,
    (c) => `${c}::text = (auth.jwt() ->> 'sub')`,
    (c) => `${c} is null`,
    (c) => `public.is_mine(${c})`,
    (c) => `${c} is distinct from auth.uid()`,
  ],
  tenant: [
    (c) => `${c} = (auth.jwt() ->> 'tenant')`,
    (c) => `${c} = (current_setting('request.jwt.claims', true)::jsonb ->> 'tenant')`,
    (c) => `${c} = public.frozen_tenant()`,
    (c, dice) => `${c} <> ${literal(dice.pick(TENANTS))}`,
    (c) => `${c} = public.claim('tenant')`,
  ],
  team: [
    (c) => `exists (select 1 from public.member m where m.team = ${c} and m.member = ${MEMBER})`,
    (c) => `${c} in (select m.team from public.member m where m.member = ${MEMBER})`,
    (c) => `public.in_team(${c})`,
    (c) => `auth.jwt() -> 'teams' @> to_jsonb(${c})`,
    (c) => `${c}::text = any (array(select jsonb_array_elements_text(auth.jwt() -> 'teams')))`,
    (c, dice) => `${c} >= ${dice.pick(TEAMS)}`,
  ],
  tags: [
    (c) => `(auth.jwt() ->> 'tenant') = any (${c})`,
    (c) => `${c} @> array[auth.jwt() ->> 'tenant']`,
    (c) => `cardinality(${c}) > 0`,
  ],
  open: [(c) => c, (c) => `${c} is not true`, (c) => `not ${c}`, (c) => `${c} is null`],
  amount: [(c) => `${c} >= 100`, (c) => `${c} < (auth.jwt() ->> 'limit')::numeric`],
  made: [(c) => `${c} < now()`, (c) => `${c} > now() - interval '30 days'`, (c) => `${c} is not null`],
  meta: [(c) => `(${c} ->> 'open')::boolean`, (c) => `${c} @> '{"open": true}'`, (c) => `jsonb_typeof(${c}) = 'null'`],
  state: [(c, dice) => `${c} = ${literal(dice.pick(STATES))}`, (c, dice) => `${c} <> ${literal(dice.pick(STATES))}`],
  code: [
    (c, dice) => `${c} < ${literal(dice.pick(CODES))}`,
    // Raises for every code that is no number.
    (c) => `${c}::int > 5`,
  ],
  body: [(c) => `${c} like 'secret%'`, (c) => `${c} is null or length(${c}) > 100`],
  closed: [(c) => c, (c) => `not ${c}`],
  number: [(c) => `${c} < 20`, (c) => `${c} % 2 = 0`],
  long: [(c) => `${c} > 0`],
  word: [(c) => `${c} <> 'a'`, (c) => `${c} > 'b'`],
};

/** Conditions that look at no single column. */
const GENERAL: readonly ((table: string, owner: string, dice: Dice) => string)[] = [
  () => 'true',
  () => `auth.role() = 'authenticated'`,
  () => `current_user in ('authenticated', 'oracle_lead')`,
  () => `coalesce((auth.jwt() ->> 'flag')::boolean, false)`,
  (table, owner) => `to_jsonb(${table}.*) ->> ${literal(owner)} = (auth.jwt() ->> 'sub')`,
];

/** A condition over the columns of `table`. */
export function makeCondition(dice: Dice, table: OracleTable, depth = 2): string {
  if (depth > 0 && dice.chance(0.4)) {
    const terms = [makeCondition(dice, table, depth - 1), makeCondition(dice, table, depth - 1)];
    return `(${terms.join(dice.chance(0.75) ? ' or ' : ' and ')})`;
  }
  if (depth > 0 && dice.chance(0.06)) return `not (${makeCondition(dice, table, depth - 1)})`;
  return dice.chance(0.14) ? general(dice, table) : atom(dice, table);
}

function atom(dice: Dice, table: OracleTable): string {
  const column = dice.pick(table.columns.filter(({ kind }) => ATOMS[kind] !== undefined));
  const name = `${escapeIdentifier(table.name)}.${escapeIdentifier(column.name)}`;
  return dice.pick(ATOMS[column.kind] ?? [])(name, dice);
}

function general(dice: Dice, table: OracleTable): string {
  const owner = table.columns.find(({ kind }) => kind === 'owner')?.name ?? '';
  return dice.pick(GENERAL)(escapeIdentifier(table.name), owner, dice);
}

const POLICY_ROLES = ['public', 'public', 'authenticated', 'authenticated', 'anon', 'oracle_lead', 'oracle_base'];

export function makePolicy(dice: Dice, table: OracleTable, name: string): OraclePolicy {
  return {
    name,
    isRestrictive: dice.chance(0.15),
    role: dice.pick(POLICY_ROLES),
    command: dice.chance(0.75) ? 'select' : 'all',
    condition: makeCondition(dice, table),
  };
}

export function createPolicySql({ sql }: OracleTable, policy: OraclePolicy): string {
  const { name, isRestrictive, role, command, condition } = policy;
  const kind = isRestrictive ? 'restrictive' : 'permissive';
  return `create policy ${escapeIdentifier(name)} on ${sql} as ${kind} for ${command} to ${role} using (${condition})`;
}
