// Owns what the doctor reads of each watched table: how its changes are published, and what stands between it
// and each role of ROWCAST_ROLES. Policies and column grants are the server's own reading (TableRules).

import type { Client } from 'pg';

export type TableReader = {
  readonly role: string;
  readonly mayUseSchema: boolean;
  /** SELECT on a column at least, whatever the schema says. */
  readonly isGranted: boolean;
  /** Owns the table, or has the rights of who does. */
  readonly isOwner: boolean;
  /** Superuser or BYPASSRLS. */
  readonly seesAll: boolean;
};

export type WatchedTable = {
  readonly oid: number;
  /** As channels spell it. */
  readonly name: string;
  readonly schema: string;
  /** Qualified and quoted, for SQL. */
  readonly relation: string;
  /** pg_class.relreplident. */
  readonly identity: string;
  /** Why UPDATE and DELETE cannot be published; null where they can. */
  readonly gap: string | null;
  /** Why replica identity full would break writes; null where it would not. */
  readonly fullRefusal: string | null;
  /** Columns of the replica identity, if that is a key. */
  readonly key: readonly string[];
  /** Publications that carry it. */
  readonly carriers: readonly string[];
  readonly hasRowSecurity: boolean;
  readonly readers: readonly TableReader[];
};

export type WatchedTables = {
  readonly tables: readonly WatchedTable[];
  /** Patterns of channels whose table is not there. */
  readonly lost: readonly string[];
};

const QUESTION = `
  select ch.pattern, c.oid, realtime.relation_name(c.oid) as name, n.nspname::text as schema,
    quote_ident(n.nspname) || '.' || quote_ident(c.relname) as relation, c.relreplident::text as identity,
    realtime.identity_gap(c.oid) as gap, realtime.full_refusal(c.oid) as "fullRefusal",
    array(select a.attname::text from pg_index i join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
      where i.indrelid = c.oid and case c.relreplident when 'd' then i.indisprimary else i.indisreplident end
      order by a.attnum) as key,
    coalesce(realtime.publications_of(c.oid)::text[], '{}') as carriers, c.relrowsecurity as "hasRowSecurity",
    (select coalesce(jsonb_agg(jsonb_build_object(
        'role', r.rolname, 'mayUseSchema', has_schema_privilege(r.oid, c.relnamespace, 'USAGE'),
        'isGranted', has_any_column_privilege(r.oid, c.oid, 'SELECT'),
        'isOwner', pg_has_role(r.oid, c.relowner, 'USAGE'), 'seesAll', r.rolsuper or r.rolbypassrls)
        order by array_position($1::text[], r.rolname::text)), '[]')
      from pg_roles r where r.rolname = any ($1)) as readers
  from realtime.channels ch
    left join pg_class c on c.oid = to_regclass(realtime.watched_relation(ch.pattern))
    left join pg_namespace n on n.oid = c.relnamespace
  where realtime.watched_relation(ch.pattern) is not null
  order by ch.pattern`;

// By name: to_regclass() raises where the login may not use the schema.
const READY = `
  select case when has_schema_privilege(n.oid, 'USAGE') and has_table_privilege(c.oid, 'SELECT')
      and (select bool_or(has_function_privilege(p.oid, 'EXECUTE')) from pg_proc p where p.pronamespace = n.oid and p.proname = 'table_rules')
    then 'ready' else 'closed' end as schema
  from pg_namespace n join pg_class c on c.relnamespace = n.oid and c.relname = 'channels'
  where n.nspname = 'realtime'`;

/** Whether the schema is there, and whether it is of this release and this login may look at it. */
export async function schemaState(client: Client): Promise<'absent' | 'closed' | 'ready'> {
  const { rows } = await client.query<{ schema: 'absent' | 'closed' | 'ready' }>(READY);
  return rows[0]?.schema ?? 'absent';
}

/** `roles` is ROWCAST_ROLES; those that do not exist are left out. */
export async function readWatchedTables(client: Client, roles: readonly string[]): Promise<WatchedTables> {
  const { rows } = await client.query<WatchedTable & { pattern: string; oid: number | null }>(QUESTION, [roles]);
  return {
    tables: rows.filter(({ oid }) => oid !== null),
    lost: rows.filter(({ oid }) => oid === null).map(({ pattern }) => pattern),
  };
}
