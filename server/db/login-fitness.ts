// Owns the judgement whether a login may run the policies of users: row security must bind it, and nothing
// that a policy does under it (`set role none` included) may reach what Rowcast or a table's owner may do.

import type pg from 'pg';
import { MAY_SET } from './policy-roles.ts';

/** Why a login may not run policies, and the statement that mends it where there is one. */
export type Unfitness = { readonly message: string; readonly sql: string | undefined };

type Facts = {
  quoted: string;
  superuser: boolean;
  bypassrls: boolean;
  owns: string | null;
  owner: string | null;
};
type Queryable = Pick<pg.ClientBase, 'query'>;

const HAS_CHANNELS = `
  select coalesce(has_table_privilege(to_regclass('realtime.channels'), 'SELECT'), false)
    and to_regprocedure('realtime.watched_relation(text)') is not null as answer`;
const OWNERS = `
    select 'schema realtime', n.nspowner from pg_catalog.pg_namespace n where n.nspname = 'realtime'
    union all
    select 'schema realtime', c.relowner from pg_catalog.pg_class c where c.relnamespace = to_regnamespace('realtime')`;
// Owners that are roles of tokens are left out: a token of that role is the owner anyway.
const TABLE_OWNERS = `
    union all
    select 'the watched table ' || c.oid::regclass, c.relowner
    from realtime.channels ch
      join pg_catalog.pg_class c on c.oid = to_regclass(realtime.watched_relation(ch.pattern))
      join pg_catalog.pg_roles o on o.oid = c.relowner and o.rolname <> all ($2)`;
const question = (owners: string): string => `
  with owned (what, owner) as (${owners})
  select quote_ident(r.rolname) as quoted, r.rolsuper as superuser, r.rolbypassrls as bypassrls,
    (select min(o.what) from owned o where o.owner = r.oid) as owns,
    (select min(o.owner::regrole::text) from owned o
     where pg_has_role(r.oid, o.owner, 'USAGE') or pg_has_role(r.oid, o.owner, ${MAY_SET})) as owner
  from pg_catalog.pg_roles r where r.rolname = $1 and $2::text[] is not null`;

/**
 * What makes `login` unfit to run policies; undefined if nothing does. `client` is the main login's; before
 * there is a schema there are no watched tables. `roles` are ROWCAST_ROLES.
 */
export async function unfitness(
  client: Queryable,
  login: string,
  roles: readonly string[],
): Promise<Unfitness | undefined> {
  const hasChannels = (await client.query<{ answer: boolean }>(HAS_CHANNELS)).rows[0]?.answer === true;
  const text = question(hasChannels ? OWNERS + TABLE_OWNERS : OWNERS);
  const { rows } = await client.query<Facts>(text, [login, roles]);
  const facts = rows[0];
  if (facts === undefined) return { message: `${login} does not exist`, sql: undefined };
  return judge(facts);
}

function judge({ quoted, superuser, bypassrls, owns, owner }: Facts): Unfitness | undefined {
  if (superuser) return { message: `${quoted} is a superuser`, sql: `alter role ${quoted} nosuperuser;` };
  if (bypassrls) return { message: `${quoted} has BYPASSRLS`, sql: `alter role ${quoted} nobypassrls;` };
  if (owns !== null) return { message: `${quoted} owns ${owns}`, sql: undefined };
  if (owner === null) return undefined;
  const message = `${quoted} is a member of ${owner}, which owns schema realtime or a watched table`;
  return { message, sql: `revoke ${owner} from ${quoted};` };
}
