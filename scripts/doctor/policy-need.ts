// Owns what policies of watched tables need that roles do not have, found in the catalogue by what each policy
// depends on. In a SELECT a policy arrives parsed; Rowcast parses its text under the role, so the role needs
// USAGE on every schema that it names. EXECUTE, and SELECT on other tables, are needed either way.

import type { Client } from 'pg';

export type PolicyNeed = {
  readonly relid: number;
  readonly policy: string;
  readonly role: string;
  /** What is missing, as a clause about the role. */
  readonly lack: string;
  /** The statement that gives it. */
  readonly grant: string;
  /** Without it the policy raises; else it finds nothing in a table that it reads. */
  readonly raises: boolean;
};

export type SystemColumnUse = { readonly relid: number; readonly policy: string; readonly columns: readonly string[] };

// An ALL policy depends on what its WITH CHECK names as well: only what the USING tree mentions by its oid counts.
const NEEDS = `
  with policy as (
    select p.oid, p.polname, p.polrelid, p.polroles, p.polqual::text as tree, p.polwithcheck is null as is_whole
    from pg_policy p where p.polrelid = any ($1::oid[]) and p.polcmd in ('r', '*') and p.polqual is not null),
  read as (
    select p.oid as policy, a.attname, a.atttypid, a.attcollation
    from policy p join pg_attribute a on a.attrelid = p.polrelid and a.attnum > 0 and not a.attisdropped
    where p.tree like '%:varattno 0 %' or exists (select from pg_depend d
      where (d.classid, d.objid) = ('pg_policy'::regclass, p.oid)
        and (d.refclassid, d.refobjid, d.refobjsubid) = ('pg_class'::regclass, p.polrelid, a.attnum))),
  named as (
    select p.oid as policy, d.refclassid as class, d.refobjid as object, d.refobjsubid as part
    from policy p join pg_depend d on (d.classid, d.objid) = ('pg_policy'::regclass, p.oid) and d.deptype = 'n'
    where (d.refclassid, d.refobjid) <> ('pg_class'::regclass, p.polrelid)
      and (p.is_whole or p.tree ~ ('\\m' || d.refobjid || '\\M'))
    -- The texts of an image are cast to the types of the columns.
    union select policy, 'pg_type'::regclass, atttypid, 0 from read
    union select policy, 'pg_collation'::regclass, attcollation, 0 from read where attcollation <> 0),
  object as (
    select n.policy, f.pronamespace as schema, f.oid as function, null::oid as relation, null::text[] as columns
    from named n join pg_proc f on n.class = 'pg_proc'::regclass and f.oid = n.object
    union all select n.policy, o.oprnamespace, o.oprcode, null, null
    from named n join pg_operator o on n.class = 'pg_operator'::regclass and o.oid = n.object
    union all select n.policy, t.typnamespace, null, null, null
    from named n join pg_type t on n.class = 'pg_type'::regclass and t.oid = n.object
    union all select n.policy, l.collnamespace, null, null, null
    from named n join pg_collation l on n.class = 'pg_collation'::regclass and l.oid = n.object
    union all select n.policy, c.relnamespace, null, c.oid, array_agg(a.attname::text order by a.attnum) filter (where a.attnum > 0)
    from named n join pg_class c on n.class = 'pg_class'::regclass and c.oid = n.object
      left join pg_attribute a on a.attrelid = c.oid and a.attnum = n.part and n.part <> 0
    group by n.policy, c.relnamespace, c.oid),
  asked as (
    select p.polrelid as relid, p.polname::text as policy, r.rolname::text as role, r.oid as role_oid,
      r.rolsuper or r.rolbypassrls as sees_all, o.schema, o.function, o.relation, o.columns
    from policy p join object o on o.policy = p.oid
      join pg_roles r on r.rolname = any ($2::text[])
    where p.polroles = '{0}' or exists (select from unnest(p.polroles) g (oid) where pg_has_role(r.oid, g.oid, 'USAGE')))
  select distinct relid, policy, role, format('may not use the schema %I', n.nspname) as lack,
    format('grant usage on schema %I to %I;', n.nspname, role) as "grant", true as raises
  from asked a join pg_namespace n on n.oid = a.schema
  where not has_schema_privilege(a.role_oid, n.oid, 'USAGE')
  union
  select relid, policy, role, format('may not execute %I.%I(%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)),
    format('grant execute on function %I.%I(%s) to %I;', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid), role), true
  from asked a join pg_proc f on f.oid = a.function join pg_namespace n on n.oid = f.pronamespace
  where not has_function_privilege(a.role_oid, f.oid, 'EXECUTE')
  union
  select relid, policy, role, format('may not SELECT %s%I.%I', l.list || ' of ', n.nspname, c.relname),
    format('grant select%s on %I.%I to %I;', ' (' || l.list || ')', n.nspname, c.relname, role), true
  from asked a join pg_class c on c.oid = a.relation join pg_namespace n on n.oid = c.relnamespace
    cross join lateral (select string_agg(quote_ident(k.name), ', ') as list from unnest(a.columns) k (name)
      where not has_column_privilege(a.role_oid, c.oid, k.name, 'SELECT')) l
  where case when a.columns is null then not has_any_column_privilege(a.role_oid, c.oid, 'SELECT') else l.list is not null end
  union
  select relid, policy, role,
    format('may read no row of %I.%I (row security without a SELECT policy)', n.nspname, c.relname),
    format('create policy … on %I.%I for select to %I using (…);', n.nspname, c.relname, role), false
  from asked a join pg_class c on c.oid = a.relation join pg_namespace n on n.oid = c.relnamespace
  where c.relrowsecurity and not a.sees_all and (c.relforcerowsecurity or not pg_has_role(a.role_oid, c.relowner, 'USAGE'))
    and not exists (select from pg_policy q where q.polrelid = c.oid and q.polcmd in ('r', '*') and q.polpermissive
      and (q.polroles = '{0}' or exists (select from unnest(q.polroles) g (oid) where pg_has_role(a.role_oid, g.oid, 'USAGE'))))
  order by relid, policy, role, lack`;

const SYSTEM_COLUMNS = `
  select p.polrelid as relid, p.polname::text as policy, array_agg(distinct a.attname::text) as columns
  from pg_policy p
    join pg_depend d on (d.classid, d.objid) = ('pg_policy'::regclass, p.oid)
      and (d.refclassid, d.refobjid) = ('pg_class'::regclass, p.polrelid) and d.refobjsubid < 0
    join pg_attribute a on a.attrelid = p.polrelid and a.attnum = d.refobjsubid
  where p.polrelid = any ($1::oid[]) and p.polcmd in ('r', '*')
  group by p.polrelid, p.polname order by p.polrelid, p.polname`;

/** What `roles` lack of what the SELECT policies of the tables that apply to them name. */
export async function readPolicyNeeds(
  client: Client,
  relids: readonly number[],
  roles: readonly string[],
): Promise<readonly PolicyNeed[]> {
  return (await client.query<PolicyNeed>(NEEDS, [relids, roles])).rows;
}

/** SELECT policies that read columns which no row of the stream has. */
export async function readSystemColumnUses(
  client: Client,
  relids: readonly number[],
): Promise<readonly SystemColumnUse[]> {
  return (await client.query<SystemColumnUse>(SYSTEM_COLUMNS, [relids])).rows;
}
