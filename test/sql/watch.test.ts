// Watching has one state, the channel row; the publications follow it. Every test has its own database where
// it needs its own logins, and shares one where it does not.

import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { migrate } from '../../server/db/migrate.ts';
import { collectingLog, failureOf, type MigratedDatabase, migratedDatabase, openTestPool } from '../db/migrated.ts';
import { STANDARD } from '../rig/migrated-template.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

describeEachPostgres('watching a table', (postgres) => {
  let host: MigratedDatabase;
  beforeAll(async () => {
    host = await migratedDatabase(postgres);
  });
  afterAll(() => host.close());
  beforeEach(async () => {
    await host.sql('delete from realtime.channels');
    await host.sql('drop schema if exists app cascade');
    await host.sql('create schema app');
  });

  const published = async (db: Pick<MigratedDatabase, 'sql'> = host): Promise<string[]> =>
    (
      await db.sql(`select p.pubname || ' ' || realtime.relation_name(r.prrelid) as entry
        from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
        where p.pubname <> 'rowcast_messages' order by 1`)
    ).map(({ entry }) => String(entry));
  const patterns = async (): Promise<unknown[]> =>
    (await host.sql('select pattern from realtime.channels order by pattern')).map(({ pattern }) => pattern);
  /** Warnings of a statement. */
  const warnings = async (sql: string): Promise<string[]> => {
    const client = await host.database.connect();
    const heard: string[] = [];
    client.on('notice', ({ severity, message, hint }) => {
      if (severity === 'WARNING') heard.push(`${message} | ${hint}`);
    });
    await client.query(sql);
    await client.end();
    return heard;
  };

  it('watch() and unwatch() write and delete the channel row, and the publication follows', async () => {
    await host.sql('create table app.posts (id int primary key)');
    await host.sql(`select realtime.watch('app.posts')`);
    expect([await patterns(), await published()]).toEqual([['db:app.posts'], ['rowcast app.posts']]);
    expect(await host.sql('select relation, publication, complete_after, completed from realtime.watched')).toEqual([
      { relation: 'app.posts', publication: 'rowcast', complete_after: null, completed: false },
    ]);
    await host.sql(`select realtime.unwatch('app.posts')`);
    expect([await patterns(), await published(), await host.sql('select from realtime.watched')]).toEqual([[], [], []]);
  });

  it('plain DML on channels does the same, whatever the spelling', async () => {
    await host.sql('create table app."Order Items" (id int primary key)');
    await host.sql(`insert into realtime.channels (pattern) values ('db:app.Order Items')`);
    expect([await patterns(), await published()]).toEqual([['db:app."Order Items"'], ['rowcast app."Order Items"']]);
    await host.sql('create table app.other (id int primary key)');
    await host.sql(`update realtime.channels set pattern = 'db:app.other'`);
    expect(await published()).toEqual(['rowcast app.other']);
    await host.sql(`update realtime.channels set pattern = 'db:*'`);
    expect(await published()).toEqual([]);
  });

  it('takes effect with COMMIT, and not with ROLLBACK', async () => {
    await host.sql('create table app.posts (id int primary key)');
    await host.sql(`begin; select realtime.watch('app.posts'); rollback`);
    expect([await patterns(), await published()]).toEqual([[], []]);
  });

  it('watching twice is watching once', async () => {
    await host.sql('create table app.posts (id int primary key)');
    await host.sql(`select realtime.watch('app.posts'), realtime.watch('app.posts')`);
    expect(await published()).toEqual(['rowcast app.posts']);
  });

  it('TRUNCATE of channels ends all watching', async () => {
    await host.sql(`create table app.posts (id int primary key)`);
    await host.sql(`select realtime.watch('app.posts')`);
    await host.sql('truncate realtime.channels cascade');
    expect(await published()).toEqual([]);
  });

  it('a pattern with a wildcard watches nothing', async () => {
    await host.sql('create table app.posts (id int primary key)');
    await host.sql(`insert into realtime.channels (pattern) values ('db:*'), ('db:app.*')`);
    expect(await published()).toEqual([]);
  });

  it('children by inheritance are not watched with their parent', async () => {
    await host.sql('create table app.parent (id int primary key); create table app.child () inherits (app.parent)');
    await host.sql(`select realtime.watch('app.parent')`);
    expect(await published()).toEqual(['rowcast app.parent']);
  });

  it.each([
    ['create view app.x as select 1 as a', 'cannot watch: app.x is a view: watch the tables behind it'],
    [
      'create materialized view app.x as select 1 as a',
      'cannot watch: app.x is a materialized view: watch the tables behind it',
    ],
    ['create sequence app.x', 'cannot watch: app.x is no table'],
    [
      'create unlogged table app.x (id int primary key)',
      'cannot watch: app.x is unlogged: its changes are not in the WAL',
    ],
    [
      'create table app.root (id int primary key) partition by range (id); create table app.x partition of app.root default',
      'cannot watch: app.x is a partition: watch its root app.root',
    ],
  ])('%s is refused, by watch() and by DML', async (setUp, message) => {
    await host.sql(setUp);
    for (const sql of [
      `select realtime.watch('app.x')`,
      `insert into realtime.channels (pattern) values ('db:app.x')`,
    ]) {
      expect(await host.failure(sql)).toMatchObject({ code: '42809', message });
    }
  });

  it('temporary tables, system tables and those of Rowcast are refused', async () => {
    expect(await host.failure(`create temp table t (id int primary key); select realtime.watch('t')`)).toMatchObject({
      message: expect.stringContaining('is a temporary table'),
    });
    expect(await host.failure(`select realtime.watch('pg_class')`)).toMatchObject({
      message: expect.stringContaining('is a system table'),
    });
    expect(await host.failure(`select realtime.watch('realtime.messages')`)).toMatchObject({
      message: 'cannot watch: realtime.messages belongs to Rowcast',
    });
    expect(await host.failure(`insert into realtime.channels (pattern) values ('db:nothing')`)).toMatchObject({
      code: '42P01',
      message: 'table nothing does not exist',
    });
  });

  it.each([
    ['no primary key', 'id int', '', 'has no primary key'],
    [
      'replica identity nothing',
      'id int primary key',
      'alter table app.t replica identity nothing',
      'has replica identity nothing',
    ],
    ['a deferrable primary key', 'id int primary key deferrable', '', 'has no primary key'],
    [
      'a lost index',
      'id int not null',
      'create unique index i on app.t (id); alter table app.t replica identity using index i; drop index app.i',
      'has lost the index of its replica identity',
    ],
  ])(
    'with %s it is watched for inserts, with a warning, and the app can still write',
    async (_, columns, after, reason) => {
      await host.sql(`create table app.t (${columns}); ${after}`);
      expect(await warnings(`select realtime.watch('app.t')`)).toEqual([
        `table app.t is watched for INSERT and TRUNCATE only: app.t ${reason} | add a primary key, or: alter table app.t replica identity full;`,
      ]);
      expect(await published()).toEqual(['rowcast_inserts app.t']);
      await host.sql('insert into app.t (id) values (1); update app.t set id = 2; delete from app.t');
    },
  );

  it.each([
    ['full', 'id int', 'alter table app.t replica identity full'],
    [
      'an index',
      'id int not null',
      'create unique index i on app.t (id); alter table app.t replica identity using index i',
    ],
  ])('with the identity %s it is watched whole, and the app can still write', async (_, columns, after) => {
    await host.sql(`create table app.t (${columns}); ${after}`);
    expect(await warnings(`select realtime.watch('app.t')`)).toEqual([]);
    expect(await published()).toEqual(['rowcast app.t']);
    await host.sql('insert into app.t (id) values (1); update app.t set id = 2; delete from app.t');
  });

  it('a partition without a key puts the whole root into the insert-only publication', async () => {
    await host.sql(`create table app.root (id int, day int) partition by list (day);
      create table app.a partition of app.root for values in (1); alter table app.a add primary key (id);
      create table app.b partition of app.root for values in (2);
      alter table app.root replica identity full; alter table app.a replica identity full`);
    expect(await warnings(`select realtime.watch('app.root')`)).toEqual([
      expect.stringContaining('app.b has no primary key'),
    ]);
    expect(await published()).toEqual(['rowcast_inserts app.root']);
    await host.sql('insert into app.root values (1, 2); update app.root set id = 2; delete from app.root');
  });

  it('full => true sets the identity of the root and every partition', async () => {
    await host.sql(`create table app.root (id int, day int) partition by list (day);
      create table app.b partition of app.root for values in (2)`);
    await host.sql(`select realtime.watch('app.root', full => true)`);
    expect(await published()).toEqual(['rowcast app.root']);
    expect(
      await host.sql(
        `select relname, relreplident from pg_class where relname in ('root', 'b') and relnamespace = 'app'::regnamespace order by 1`,
      ),
    ).toEqual([
      { relname: 'b', relreplident: 'f' },
      { relname: 'root', relreplident: 'f' },
    ]);
    await host.sql('insert into app.root values (1, 2); update app.root set id = 2; delete from app.root');
  });

  it('without full the identity stays as it is', async () => {
    await host.sql('create table app.t (id int primary key)');
    await host.sql(`select realtime.watch('app.t')`);
    expect(await host.sql(`select relreplident from pg_class where oid = 'app.t'::regclass`)).toEqual([
      { relreplident: 'd' },
    ]);
  });

  it("full with a stored generated column works, and so do the app's writes", async () => {
    await host.sql('create table app.t (id int primary key, twice int generated always as (id * 2) stored)');
    await host.sql(`select realtime.watch('app.t', full => true)`);
    await host.sql('insert into app.t (id) values (1); update app.t set id = 2; delete from app.t');
    expect(await published()).toEqual(['rowcast app.t']);
  });

  it.runIf(postgres.version >= 18)('full with a virtual generated column is refused', async () => {
    await host.sql('create table app.t (id int primary key, twice int generated always as (id * 2) virtual)');
    expect(await host.failure(`select realtime.watch('app.t', full => true)`)).toMatchObject({
      code: '0A000',
      message: 'replica identity full would make updates of app.t fail: app.t has the virtual generated column twice',
    });
    expect(await published()).toEqual([]);
    await host.sql(`select realtime.watch('app.t')`);
    await host.sql('insert into app.t (id) values (1); update app.t set id = 2; delete from app.t');
  });

  it.runIf(postgres.version >= 18)('a table that is full with a virtual column is watched for inserts', async () => {
    await host.sql(
      'create table app.t (id int primary key, twice int generated always as (id * 2) virtual); alter table app.t replica identity full',
    );
    expect(await warnings(`select realtime.watch('app.t')`)).toEqual([
      expect.stringContaining('full and virtual generated columns'),
    ]);
    await host.sql('insert into app.t (id) values (1); update app.t set id = 2; delete from app.t');
  });

  it.runIf(postgres.version >= 18)(
    'full is refused where another publication leaves generated columns out',
    async () => {
      await host.sql('create table app.t (id int primary key, twice int generated always as (id * 2) stored)');
      await host.sql('create publication of_the_app for table app.t');
      expect(await host.failure(`select realtime.watch('app.t', full => true)`)).toMatchObject({
        message: expect.stringContaining('publication of_the_app does not publish the generated columns of app.t'),
      });
      await host.sql('drop publication of_the_app');
    },
  );

  it('full is refused where another publication has a column list', async () => {
    await host.sql('create table app.t (id int primary key, word text)');
    await host.sql('create publication of_the_app for table app.t (id)');
    expect(await host.failure(`select realtime.watch('app.t', full => true)`)).toMatchObject({
      message: expect.stringContaining('publication of_the_app has a column list for app.t'),
    });
    await host.sql('drop publication of_the_app');
  });

  it("service_role watches through Rowcast's login, with and without full", async () => {
    await host.sql('create table app.t (id int primary key); grant usage on schema app to service_role');
    const client = await host.database.connect();
    await client.query('set role service_role');
    await client.query(`select realtime.watch('app.t'::regclass, full => true)`).catch(async (error) => {
      await client.end();
      throw error;
    });
    await client.end();
    expect(await published()).toEqual(['rowcast app.t']);
    expect(await host.sql(`select relreplident from pg_class where oid = 'app.t'::regclass`)).toEqual([
      { relreplident: 'f' },
    ]);
  });

  it('app roles cannot watch', async () => {
    await host.sql('create table app.t (id int primary key); grant usage on schema app to authenticated');
    const refused = host.as('authenticated', null, (client) =>
      failureOf(client.query(`select realtime.watch('app.t')`)),
    );
    expect(await refused).toMatchObject({ code: '42501' });
  });

  it('a login that may not publish a table gets the statement to run, which works', async () => {
    await using database = await postgres.createDatabase();
    const login = `rc_${randomBytes(4).toString('hex')}`;
    const owner = `${login}_owner`;
    await database.query(`create role ${login} login replication password 'secret'; create role ${owner}`);
    await database.query(`grant create on database ${database.name} to ${login}`);
    const db = openTestPool(database.urlAs(login, 'secret'));
    const sql = async (text: string) => (await db.pool.query(text)).rows;
    try {
      await migrate({ pool: db.pool, log: collectingLog(), ...STANDARD });
      await database.query('create table public.theirs (id int)');
      await database.query(
        `alter table public.theirs owner to ${owner}; create table public.kept (id int primary key); alter table public.kept owner to ${owner}`,
      );
      const failure = await failureOf(sql(`select realtime.watch('theirs', full => true)`));
      expect(failure).toEqual({
        code: '42501',
        message: `${login} may not publish table theirs: it is of ${owner}`,
        hint: `run as a superuser: select realtime.watch('public.theirs', full => true); or, for good: grant ${owner} to ${login};`,
      });
      expect(await published({ sql: sql as MigratedDatabase['sql'] })).toEqual([]);

      const [statement, grant] = (failure.hint ?? '').replace('run as a superuser: ', '').split(' or, for good: ');
      await database.query(statement ?? '');
      expect(await published({ sql: sql as MigratedDatabase['sql'] })).toEqual(['rowcast theirs']);
      expect(await sql('select * from realtime.reconcile_watched()')).toEqual([]);

      await database.query(grant ?? '');
      await sql(`select realtime.watch('kept')`);
      expect(await published({ sql: sql as MigratedDatabase['sql'] })).toEqual(['rowcast kept', 'rowcast theirs']);
    } finally {
      await db.close();
      for (const role of [login, owner]) await database.query(`drop owned by ${role} cascade`);
      await database.query(`drop role ${login}, ${owner}`);
    }
  });

  it("an owner's own publication counts", async () => {
    await host.sql('create table app.t (id int primary key); create publication rowcast_app for table app.t');
    await host.sql(`insert into realtime.channels (pattern) values ('db:app.t')`);
    expect(await published()).toEqual(['rowcast_app app.t']);
    expect(await host.sql('select publication from realtime.watched')).toEqual([{ publication: 'rowcast_app' }]);
    expect(await host.sql('select * from realtime.reconcile_watched()')).toEqual([]);
    await host.sql('drop publication rowcast_app');
  });
});
