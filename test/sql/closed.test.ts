// What nobody was given stays closed: tables, functions that run as their owner, and tricks with pg_temp.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { migrate } from '../../server/db/migrate.ts';
import { collectingLog, failureOf, type MigratedDatabase, migratedDatabase, openTestPool } from '../db/migrated.ts';
import { STANDARD } from '../rig/migrated-template.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

const CLAIMS = { sub: 'alice', role: 'authenticated' };

describeEachPostgres('a fresh schema', (postgres) => {
  let host: MigratedDatabase;
  beforeAll(async () => {
    host = await migratedDatabase(postgres);
    await host.sql(`insert into realtime.channels (pattern, webhook_urls) values ('a', '{http://secret}')`);
    await host.sql(`select realtime.publish('a', 'e', '1')`);
  });
  afterAll(() => host.close());

  it.each(['anon', 'authenticated'])('shows %s no channel and no message, and takes none', async (role) => {
    await host.as(role, CLAIMS, async (client) => {
      const counts = await client.query(`select (select count(id)::int from realtime.channels) as channels,
        (select count(*)::int from realtime.messages) as messages`);
      expect(counts.rows).toEqual([{ channels: 0, messages: 0 }]);
      expect(await failureOf(client.query(`select realtime.publish('a', 'e', '1')`))).toMatchObject({ code: '42501' });
    });
  });

  it('webhook URLs are not readable, whatever the policies say', async () => {
    await using other = await migratedDatabase(postgres);
    await other.sql(`create policy everything on realtime.channels using (true) with check (true)`);
    const read = (client: { query(sql: string): Promise<unknown> }) =>
      client.query('select webhook_urls from realtime.channels');
    expect(await other.as('authenticated', CLAIMS, (client) => failureOf(read(client)))).toMatchObject({
      code: '42501',
    });
  });

  it('app roles have exactly the rights of the design', async () => {
    const granted = await host.sql(`
      select table_name || '.' || column_name as what, string_agg(privilege_type, ',' order by privilege_type) as rights
      from information_schema.column_privileges
      where table_schema = 'realtime' and grantee = 'authenticated' and table_name <> 'messages' group by 1 order by 1`);
    expect(granted.map(({ what, rights }) => `${what} ${rights}`)).toEqual(
      [
        'created_at',
        'description',
        'enabled',
        'id',
        'is_pattern',
        'like_pattern',
        'literal_length',
        'pattern',
        'persist',
        'retention_days',
        'updated_at',
      ].map((column) => `channels.${column} SELECT`),
    );
    const insertable = await host.sql(`select column_name from information_schema.column_privileges
      where table_schema = 'realtime' and table_name = 'messages' and grantee = 'authenticated' and privilege_type <> 'SELECT' order by 1`);
    expect(insertable.map(({ column_name }) => column_name)).toEqual(['channel_name', 'event_name', 'id', 'payload']);
  });

  it('every table has row security, every public object a comment', async () => {
    expect(
      await host.sql(
        `select relname from pg_class where relnamespace = 'realtime'::regnamespace and relkind in ('r', 'p') and not relrowsecurity`,
      ),
    ).toEqual([]);
    expect(
      await host.sql(`
        select c.oid::regclass::text as object from pg_class c
        where relnamespace = 'realtime'::regnamespace and relkind in ('r', 'p', 'v') and not relispartition and obj_description(c.oid, 'pg_class') is null
        union all
        select p.oid::regprocedure::text from pg_proc p
        where pronamespace = 'realtime'::regnamespace and obj_description(p.oid, 'pg_proc') is null`),
    ).toEqual([]);
  });

  it('a function that runs as its owner is closed or harmless, and has its search path with pg_temp last', async () => {
    const definers =
      await host.sql(`select proname::text as name, proconfig as config, has_function_privilege('authenticated', oid, 'execute') as open
      from pg_proc where pronamespace = 'realtime'::regnamespace and prosecdef order by 1`);
    expect(definers).toEqual(
      [
        'admit_message',
        'count_removed',
        'drop_deliveries',
        'forget_counts',
        'publication_prefix',
        'sync_webhook_urls',
        'unwatch_all',
        'watch_as_owner',
      ].map((name) => ({
        name,
        config: ['search_path=pg_catalog, pg_temp'],
        open: name === 'publication_prefix',
      })),
    );
  });

  it('types of the same names in pg_temp get no hold on functions that run as their owner', async () => {
    await using other = await migratedDatabase(postgres);
    await other.sql(
      `insert into realtime.channels (pattern) values ('a'); create table public.posts (id int primary key)`,
    );
    await other.sql(`create policy everything on realtime.messages with check (true)`);
    const notices: string[] = [];
    await other.as('service_role', CLAIMS, async (client) => {
      client.on('notice', ({ message }) => notices.push(message ?? ''));
      await client.query(`create function pg_temp.spy(v anyelement) returns pg_catalog.bool language plpgsql as
        $$ begin if current_user <> 'service_role' then raise notice 'spied as %', current_user; end if; return true; end $$`);
      for (const type of ['text', 'jsonb', 'uuid', 'oid', 'bytea', 'name', 'bool', 'int4', 'regclass']) {
        await client.query(`create domain pg_temp.${type} as pg_catalog.${type} check (pg_temp.spy(value))`);
      }
      // First as the caller, so that whatever is remembered for the session is remembered with the wrong types.
      await client.query(`select realtime.relation_oid('posts'), realtime.relation_oid('posts' collate "C"), realtime.relation_name('public.posts'::pg_catalog.regclass),
        realtime.full_refusal('public.posts'::pg_catalog.regclass), realtime.identity_gap('public.posts'::pg_catalog.regclass)`);
      await client.query(`select realtime.publish('a', 'e', '1')`);
      await client.query(
        `insert into realtime.messages (id, channel_name, event_name, payload) values (gen_random_uuid(), 'a', 'e', '1')`,
      );
      await client.query(`select realtime.watch('public.posts')`);
      await client.query(`delete from realtime.channels`);
    });
    expect(notices.filter((notice) => notice.includes('spied'))).toEqual([]);
  });

  it('default privileges of the database open nothing', async () => {
    await using database = await postgres.createDatabase();
    await database.query(`alter default privileges grant all on tables to public, authenticated;
      alter default privileges grant all on functions to authenticated`);
    const db = openTestPool(database.url);
    await migrate({ pool: db.pool, log: collectingLog(), ...STANDARD });
    const { rows } = await db.pool.query(`
      select c.relname from pg_class c
      where c.relnamespace = 'realtime'::regnamespace and c.relkind in ('r', 'p', 'v')
        and has_any_column_privilege('authenticated', c.oid, 'select, insert, update') and relname not in ('channels', 'messages')
      union all
      select p.proname from pg_proc p
      where p.pronamespace = 'realtime'::regnamespace and p.prosecdef and has_function_privilege('authenticated', p.oid, 'execute')
        and p.proname <> 'publication_prefix'`);
    expect(rows).toEqual([]);
    expect(
      await database.query(
        `select has_table_privilege('authenticated', 'realtime.messages', 'update, delete, truncate') as may`,
      ),
    ).toEqual([{ may: false }]);
    await db.close();
  });

  it('history is for admins', async () => {
    expect(
      await host.as('authenticated', CLAIMS, (client) => failureOf(client.query('select from realtime.history'))),
    ).toMatchObject({ code: '42501' });
    const seen = await host.as(
      'service_role',
      null,
      async (client) => (await client.query('select channel_name from realtime.history')).rows,
    );
    expect(seen).toEqual([{ channel_name: 'a' }]);
  });

  it('service_role manages channels without seeing secrets of others', async () => {
    await host.as('service_role', null, async (client) => {
      await client.query(`insert into realtime.channels (pattern) values ('b')`);
      await client.query(`update realtime.channels set enabled = false`);
      await client.query(`delete from realtime.channels`);
    });
    for (const table of ['changes', 'checkpoint', 'webhook_endpoints', 'sources', 'message_ids', 'settings']) {
      const refused = await host.as('service_role', null, (client) =>
        failureOf(client.query(`select from realtime.${table}`)),
      );
      expect(refused.code).toBe('42501');
    }
  });
});
