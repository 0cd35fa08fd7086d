// Owns the list of policies that decide who may subscribe and publish, for admins, as the base API prints it.
// Read as the server's own login; expressions as Postgres prints them.

import type { Pool } from 'pg';

export type ListedPolicy = {
  readonly policyName: string;
  readonly tableName: 'realtime_channels' | 'realtime_messages';
  readonly command: string;
  /** `public` for all. */
  readonly roles: readonly string[];
  readonly using: string | null;
  readonly withCheck: string | null;
  readonly schema: string;
  readonly table: string;
  /** Restrictive ones must pass in addition to one that is permissive. */
  readonly permissive: boolean;
};

export type PolicyList = {
  readonly subscribe: { readonly policies: readonly ListedPolicy[] };
  readonly publish: { readonly policies: readonly ListedPolicy[] };
};

type Row = Omit<ListedPolicy, 'tableName'> & { table: 'channels' | 'messages' };

const POLICIES = `
  select p.polname::text as "policyName",
    case p.polcmd when 'r' then 'SELECT' when 'a' then 'INSERT' else 'ALL' end as command,
    case when p.polroles = '{0}' then array['public'] else array(
      select coalesce(r.rolname::text, g.oid::text) from unnest(p.polroles) as g (oid)
      left join pg_catalog.pg_roles as r on r.oid = g.oid order by 1) end as roles,
    pg_catalog.pg_get_expr(p.polqual, p.polrelid, true) as using,
    pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid, true) as "withCheck",
    n.nspname::text as schema, c.relname::text as table, p.polpermissive as permissive
  from pg_catalog.pg_policy as p
    join pg_catalog.pg_class as c on c.oid = p.polrelid
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
  where n.nspname = 'realtime'
    and ((c.relname = 'channels' and p.polcmd in ('r', '*')) or (c.relname = 'messages' and p.polcmd in ('a', '*')))
  order by p.polname collate "C"`;

/** Reads all of them. Rejects when the database cannot be asked. */
export async function listPolicies(pool: Pool): Promise<PolicyList> {
  const { rows } = await pool.query<Row>(POLICIES);
  return { subscribe: { policies: listOf(rows, 'channels') }, publish: { policies: listOf(rows, 'messages') } };
}

function listOf(rows: readonly Row[], table: Row['table']): readonly ListedPolicy[] {
  return rows.filter((row) => row.table === table).map(listed);
}

// In the order of the printed example, then what Rowcast adds.
function listed({ policyName, command, roles, using, withCheck, schema, table, permissive }: Row): ListedPolicy {
  return { policyName, tableName: `realtime_${table}`, command, roles, using, withCheck, schema, table, permissive };
}
