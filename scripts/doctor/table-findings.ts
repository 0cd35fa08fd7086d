// Owns the findings about each watched table: whether its changes are published, by which identity, and who
// may see its rows.

import type { Client } from 'pg';
import type { Config } from '../../server/config/config.ts';
import { type Finding, quoteName } from './finding.ts';

type TableFacts = {
  pattern: string;
  relation: string | null;
  identity: string | null;
  gap: string | null;
  carriers: string[];
  row_security: boolean;
  policies: number;
  readers: string[];
};

/** Nothing before the schema exists. */
export async function tableFindings(client: Client, config: Config): Promise<Finding[]> {
  const { rows: ready } = await client.query<{ ready: boolean }>(
    `select to_regprocedure('realtime.identity_gap(oid)') is not null and to_regclass('realtime.channels') is not null as ready`,
  );
  if (!ready[0]?.ready) return [];
  const tables = await readTables(client, config.auth.roles);
  if (tables.length === 0) {
    const message = 'no table is watched yet';
    return [{ level: 'note', topic: 'tables', message, remedy: "select realtime.watch('public.posts');" }];
  }
  return tables.flatMap((table) => judgeTable(table, config.replication.publication));
}

async function readTables(client: Client, roles: readonly string[]): Promise<TableFacts[]> {
  const { rows } = await client.query<TableFacts>(
    `select ch.pattern, c.oid::regclass::text as relation, c.relreplident::text as identity,
       realtime.identity_gap(c.oid) as gap, coalesce(realtime.publications_of(c.oid)::text[], '{}') as carriers,
       coalesce(c.relrowsecurity, false) as row_security,
       (select count(*)::int from pg_policy p where p.polrelid = c.oid and p.polcmd in ('r', '*')) as policies,
       (select coalesce(array_agg(r.rolname::text order by r.rolname), '{}') from pg_roles r
         where r.rolname = any ($1) and c.oid is not null and has_schema_privilege(r.oid, c.relnamespace, 'USAGE')
           and has_any_column_privilege(r.oid, c.oid, 'SELECT')) as readers
     from realtime.channels ch
       left join pg_class c on c.oid = to_regclass(realtime.watched_relation(ch.pattern))
     where realtime.watched_relation(ch.pattern) is not null order by ch.pattern`,
    [roles],
  );
  return rows;
}

function judgeTable(table: TableFacts, prefix: string): Finding[] {
  const topic = `table ${table.relation ?? table.pattern}`;
  if (table.relation === null) {
    const remedy = `create it again, or delete the channel: select realtime.unwatch(…), or DELETE /api/realtime/channels/…`;
    return [{ level: 'warning', topic, message: `${table.pattern} is watched, but there is no such table`, remedy }];
  }
  return [judgeIdentity(topic, table), ...judgePublished(topic, table, prefix), judgeReaders(topic, table)];
}

function judgeIdentity(topic: string, { relation, identity, gap }: TableFacts): Finding {
  if (gap !== null) {
    return {
      level: 'warning',
      topic,
      message: `${gap}, so only inserts and truncates are delivered`,
      remedy: 'add a primary key (or a unique index as replica identity)',
      sql: [`alter table ${relation} add primary key (…);`],
    };
  }
  if (identity === 'f') return { level: 'ok', topic, message: 'replica identity full: old rows are delivered' };
  return {
    level: 'note',
    topic,
    message: 'old rows hold the key only, and rows that enter or leave a view by an update are not told as such',
    remedy: 'where that matters (it costs WAL):',
    sql: [`select realtime.watch('${String(relation).replaceAll("'", "''")}', true);`],
  };
}

function judgePublished(topic: string, { relation, carriers, gap }: TableFacts, prefix: string): Finding[] {
  if (carriers.length > 0) return [];
  const message = 'is watched, but in no publication, so nothing is delivered';
  const remedy = 'run as the owner of the table and the publication';
  const publication = gap === null ? prefix : `${prefix}_inserts`;
  const sql = [`alter publication ${quoteName(publication)} add table only ${relation};`];
  return [{ level: 'problem', topic, message, remedy, sql }];
}

function judgeReaders(topic: string, { relation, row_security, policies, readers }: TableFacts): Finding {
  if (readers.length === 0) {
    const remedy = 'if users should subscribe (admins can already):';
    const sql = [`grant select on ${relation} to authenticated;`];
    return { level: 'note', topic, message: 'no role of ROWCAST_ROLES may SELECT it', remedy, sql };
  }
  const who = readers.join(', ');
  if (!row_security) {
    return {
      level: 'warning',
      topic,
      message: `has no row security: every ${who} sees every row`,
      remedy: 'nothing, if that is meant; else',
      sql: [`alter table ${relation} enable row level security;`],
    };
  }
  if (policies === 0) {
    const remedy = 'write one, for example';
    const sql = [`create policy own on ${relation} for select to authenticated using (user_id = auth.uid());`];
    return {
      level: 'note',
      topic,
      message: `has row security without a SELECT policy: ${who} see nothing`,
      remedy,
      sql,
    };
  }
  return {
    level: 'ok',
    topic,
    message: `row security with ${policies} SELECT ${policies === 1 ? 'policy' : 'policies'} for ${who}`,
  };
}
