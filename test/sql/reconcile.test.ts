import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

describeEachPostgres('realtime.reconcile_watched', (postgres) => {
  let host: MigratedDatabase;
  beforeAll(async () => {
    host = await migratedDatabase(postgres);
  });
  afterAll(() => host.close());
  beforeEach(async () => {
    await host.sql('truncate realtime.channels cascade');
    await host.sql(
      'drop schema if exists app cascade; create schema app; create table app.t (id int primary key, word text)',
    );
    await host.sql(`select realtime.watch('app.t')`);
  });

  const reconcile = () => host.sql('select * from realtime.reconcile_watched()');
  const watched = () =>
    host.sql('select relid::regclass::text as name, relation, publication, completed from realtime.watched order by 2');
  const published = async () =>
    (
      await host.sql(
        `select pubname || ' ' || tablename as entry from pg_publication_tables where pubname <> 'rowcast_messages' order by 1`,
      )
    ).map(({ entry }) => entry);

  it('does nothing, and writes nothing, while all is right', async () => {
    const client = await host.database.connect();
    await client.query('begin');
    const { rows } = await client.query('select * from realtime.reconcile_watched()');
    const written = await client.query('select pg_current_xact_id_if_assigned() as xid');
    await client.end();
    expect([rows, written.rows]).toEqual([[], [{ xid: null }]]);
  });

  it('moves a table whose key was dropped, so that the app can write again, and back', async () => {
    await host.sql(`update realtime.watched set completed = true`);
    await host.sql('insert into app.t values (1)');
    await host.sql('alter table app.t drop constraint t_pkey');
    expect(await host.failure(`update app.t set word = 'x'`)).toMatchObject({ code: '55000' });
    expect(await reconcile()).toEqual([
      { relation: 'app.t', action: 'publish', ok: true, detail: 'in rowcast_inserts: app.t has no primary key' },
    ]);
    await host.sql(`update app.t set word = 'x'`);
    expect(await watched()).toMatchObject([{ publication: 'rowcast_inserts', completed: true }]);

    await host.sql('alter table app.t add primary key (id)');
    expect(await reconcile()).toMatchObject([{ ok: true, detail: 'in rowcast' }]);
    expect(await published()).toEqual(['rowcast t']);
  });

  it('publishes a table that was dropped and made again, as one newly watched', async () => {
    await host.sql(`update realtime.watched set completed = true`);
    await host.sql('drop table app.t');
    expect(await reconcile()).toEqual([
      { relation: 'app.t', action: 'unpublish', ok: true, detail: null },
      { relation: 'app.t', action: 'missing', ok: false, detail: 'table app.t does not exist' },
    ]);
    expect(await watched()).toEqual([]);
    await host.sql('create table app.t (id int primary key)');
    expect(await reconcile()).toMatchObject([{ action: 'publish', ok: true }]);
    expect(await watched()).toEqual([{ name: 'app.t', relation: 'app.t', publication: 'rowcast', completed: false }]);
  });

  it('follows the name: a renamed table is let go, its successor is taken', async () => {
    await host.sql('alter table app.t rename to old_t; create table app.t (id int primary key)');
    expect(await reconcile()).toMatchObject([
      { relation: 'app.t', action: 'unpublish', ok: true },
      { relation: 'app.t', action: 'publish', ok: true },
    ]);
    expect(await published()).toEqual(['rowcast t']);
  });

  it('sets partitions made later to full where watch() was asked for full, and only there', async () => {
    const identities = () =>
      host.sql(`select relname, relreplident as identity from pg_class
        where relnamespace = 'app'::regnamespace and relname in ('root', 'p') order by 1`);
    await host.sql(`create table app.root (id int, word text) partition by range (id)`);
    await host.sql(`select realtime.watch('app.root', full => true)`);
    await host.sql('create table app.p partition of app.root default; insert into app.root values (1)');
    expect(await reconcile()).toMatchObject([{ relation: 'app.root', ok: true, detail: 'in rowcast' }]);
    expect(await identities()).toEqual([
      { relname: 'p', identity: 'f' },
      { relname: 'root', identity: 'f' },
    ]);
    await host.sql(`update app.root set word = 'x'`);

    await host.sql('alter table app.root replica identity default; alter table app.p replica identity default');
    expect(await reconcile()).toMatchObject([{ detail: 'in rowcast_inserts: app.root has no primary key' }]);
    expect((await identities()).map(({ identity }) => identity)).toEqual(['d', 'd']);
  });

  it('a transaction that is open while a table moves is streamed whole', async () => {
    await host.sql(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [host.database.slot]);
    const writer = await host.database.connect();
    await writer.query('begin; insert into app.t values (1)');
    const mover = await host.database.connect();
    await mover.query(
      'begin; alter publication rowcast_inserts add table app.t; alter publication rowcast drop table app.t; commit',
    );
    await mover.end();
    await writer.query('insert into app.t values (2); commit');
    await writer.end();
    const [streamed] = await host.sql(
      `select count(*)::int as inserts from pg_logical_slot_get_binary_changes($1, null, null,
         'proto_version', '1', 'publication_names', 'rowcast,rowcast_inserts') where get_byte(data, 0) = ascii('I')`,
      [host.database.slot],
    );
    expect(streamed).toEqual({ inserts: 2 });
  });

  it('says why a name cannot be watched any more', async () => {
    await host.sql('drop table app.t; create view app.t as select 1 as id');
    expect(await reconcile()).toContainEqual({
      relation: 'app.t',
      action: 'publish',
      ok: false,
      detail: 'cannot watch: app.t is a view: watch the tables behind it',
    });
  });

  it('lets a table go that became a partition, and keeps saying so', async () => {
    await host.sql(`create table app.root (id int primary key, word text) partition by range (id);
      alter table app.root attach partition app.t for values from (0) to (10)`);
    const told = {
      relation: 'app.t',
      action: 'publish',
      ok: false,
      detail: 'cannot watch: app.t is a partition: watch its root app.root',
    };
    expect([await reconcile(), await published(), await reconcile()]).toEqual([[told], [], [told]]);
  });

  it('takes out what no channel row names', async () => {
    await host.sql('create table app.stray (id int primary key); alter publication rowcast add table app.stray');
    expect(await reconcile()).toEqual([{ relation: 'app.stray', action: 'unpublish', ok: true, detail: null }]);
  });

  it('a table that is locked waits for the next call, the others do not', async () => {
    await host.sql('create table app.u (id int primary key)');
    await host.sql(`select realtime.watch('app.u')`);
    await host.sql('alter table app.t drop constraint t_pkey; alter table app.u drop constraint u_pkey');
    const holder = await host.database.connect();
    await holder.query('begin; lock table app.t in share update exclusive mode');
    const results = await reconcile();
    await holder.end();
    expect(results).toMatchObject([
      { relation: 'app.t', ok: false, detail: expect.stringContaining('lock timeout') },
      { relation: 'app.u', ok: true },
    ]);
    expect(await reconcile()).toMatchObject([{ relation: 'app.t', ok: true }]);
  });

  it('leaves the field to a session that is watching something right now', async () => {
    const other = await host.database.connect();
    await other.query('begin');
    await other.query(`select realtime.watch('app.t')`);
    expect(await reconcile()).toEqual([]);
    await other.query('rollback');
    await other.end();
  });
});
