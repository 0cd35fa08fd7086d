import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { migrate } from '../../server/db/migrate.ts';
import { readMigrationFiles } from '../../server/db/migration-files.ts';
import { STANDARD } from '../rig/migrated-template.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { collectingLog, migratedDatabase, openTestPool } from './migrated.ts';

const SQL_FOLDER = join(import.meta.dirname, '..', '..', 'sql');

describeEachPostgres('migrate', (postgres) => {
  it('two servers that start at once set up one schema, and each thing runs once', async () => {
    await using database = await postgres.createDatabase();
    const [first, second] = [openTestPool(database.url), openTestPool(database.url)];
    const results = await Promise.all(
      [first, second].map(({ pool }) => migrate({ pool, log: collectingLog(), ...STANDARD })),
    );
    const files = await readMigrationFiles();
    const all = files.migrations.length + files.repeatables.length;
    expect(results.map((result) => result.ok && result.applied.length).sort()).toEqual([0, all]);
    expect(results[0]?.ok && results[0].publications).toEqual(results[1]?.ok && results[1].publications);
    await Promise.all([first.close(), second.close()]);
  });

  it('a second run changes nothing, and publications keep their oids', async () => {
    await using it = await migratedDatabase(postgres);
    const publications = await it.sql('select pubname, oid from pg_publication order by 1');
    const result = await migrate({ pool: it.db.pool, log: collectingLog(), ...STANDARD });
    expect(result).toMatchObject({ ok: true, applied: [] });
    expect(await it.sql('select pubname, oid from pg_publication order by 1')).toEqual(publications);
  });

  it('publications carry what they must, via the root', async () => {
    await using it = await migratedDatabase(postgres);
    expect(
      await it.sql(`select pubname, pubinsert, pubupdate, pubdelete, pubtruncate, pubviaroot,
                      (to_jsonb(p) ->> 'pubgencols') as generated
                    from pg_publication p order by 1`),
    ).toEqual(
      [
        { pubname: 'rowcast', pubinsert: true, pubupdate: true, pubdelete: true, pubtruncate: true },
        { pubname: 'rowcast_inserts', pubinsert: true, pubupdate: false, pubdelete: false, pubtruncate: true },
        { pubname: 'rowcast_messages', pubinsert: true, pubupdate: false, pubdelete: false, pubtruncate: false },
      ].map((row) => ({ ...row, pubviaroot: true, generated: postgres.version >= 18 ? 's' : null })),
    );
  });

  it('a filled database is upgraded by the next release and keeps every row', async () => {
    await using database = await postgres.createDatabase();
    const db = openTestPool(database.url);
    const all = await readMigrationFiles();
    const result = await migrate({ pool: db.pool, log: collectingLog(), ...STANDARD });
    expect(result.ok).toBe(true);
    await db.pool.query(`create table public.posts (id int primary key)`);
    await db.pool.query(`select realtime.watch('posts')`);
    await db.pool.query(`insert into realtime.channels (pattern, persist) values ('order:*', true)`);
    await db.pool.query(`select realtime.publish('order:' || n, 'made', to_jsonb(n)) from generate_series(1, 500) n`);
    await db.pool.query(`insert into realtime.changes (position, committed_at, relation, op, payload)
                         values ('00000001-0000000000000008-00000001', now(), 'posts', 'INSERT', '{"new":{"id":1}}')`);
    const history = `select id, channel_name, payload, created_at from realtime.history order by channel_name`;
    const before = await db.pool.query(history);

    await using folder = await copyOfSql();
    await writeFile(
      join(folder.path, 'migrations', `${String(all.migrations.length + 1).padStart(6, '0')}_next.sql`),
      `alter table realtime.messages add column next_column text;
       create view realtime.next_view as select next_column from realtime.messages;`,
    );
    await writeFile(
      join(folder.path, 'functions', 'next.sql'),
      `create or replace function realtime.next() returns int language sql as 'select 1'`,
    );
    const files = await readMigrationFiles(folder.path);
    const upgraded = await migrate({ pool: db.pool, log: collectingLog(), ...STANDARD, files });
    expect(upgraded.ok && upgraded.applied).toContain('functions/next.sql');
    expect((await db.pool.query(history)).rows).toEqual(before.rows);

    const older = await migrate({ pool: db.pool, log: collectingLog(), ...STANDARD });
    expect(older).toMatchObject({ ok: false, reason: 'newer_schema' });
    await db.close();
  });

  it('an object runs again when its text changes, and only that one', async () => {
    await using it = await migratedDatabase(postgres);
    await using folder = await copyOfSql();
    const text = `create or replace function realtime.channel_name() returns text language sql stable as $$ select 'changed'::text $$;`;
    await writeFile(join(folder.path, 'functions', 'channel_name.sql'), text);
    const files = await readMigrationFiles(folder.path);
    const result = await migrate({ pool: it.db.pool, log: collectingLog(), ...STANDARD, files });
    expect(result).toMatchObject({ ok: true, applied: ['functions/channel_name.sql'] });
    expect(await it.sql('select realtime.channel_name() as name')).toEqual([{ name: 'changed' }]);
  });

  it('a migration that fails leaves nothing of itself, and says its name', async () => {
    await using it = await migratedDatabase(postgres);
    await using folder = await copyOfSql();
    const number = (await readMigrationFiles()).migrations.length + 1;
    const name = `${String(number).padStart(6, '0')}_broken.sql`;
    await writeFile(join(folder.path, 'migrations', name), 'create table realtime.half (id int); select 1/0;');
    const files = await readMigrationFiles(folder.path);
    const options = { pool: it.db.pool, log: collectingLog(), ...STANDARD, files };
    await expect(migrate(options)).rejects.toThrow(`${name}: division by zero`);
    expect(
      await it.sql(`select to_regclass('realtime.half') as half, max(number) as n from realtime.migrations`),
    ).toEqual([{ half: null, n: number - 1 }]);
  });

  it('gaps and edited migrations are refused', async () => {
    await using it = await migratedDatabase(postgres);
    await using folder = await copyOfSql();
    const edited = join(folder.path, 'migrations', '000002_checkpoint.sql');
    await writeFile(edited, 'select 1;');
    const files = await readMigrationFiles(folder.path);
    const result = await migrate({ pool: it.db.pool, log: collectingLog(), ...STANDARD, files });
    expect(result).toMatchObject({ ok: false, reason: 'changed_migration' });
    await rm(edited);
    await expect(readMigrationFiles(folder.path)).rejects.toThrow('expected number 2');
  });

  it('a schema realtime of someone else is left alone', async () => {
    await using database = await postgres.createDatabase();
    await database.query('create schema realtime; create table realtime.messages (id int)');
    const db = openTestPool(database.url);
    const result = await migrate({ pool: db.pool, log: collectingLog(), ...STANDARD });
    expect(result).toMatchObject({ ok: false, reason: 'foreign_schema' });
    expect(
      await database.query(`select count(*)::int as n from pg_class where relnamespace = 'realtime'::regnamespace`),
    ).toEqual([{ n: 1 }]);
    await db.close();
  });

  it('another publication prefix is refused, for the slot would lose its place', async () => {
    await using it = await migratedDatabase(postgres);
    const result = await migrate({ pool: it.db.pool, log: collectingLog(), ...STANDARD, publicationPrefix: 'other' });
    expect(result).toMatchObject({ ok: false, reason: 'prefix' });
  });

  it('a login without superuser sets everything up, and one without CREATE is told the grant', async () => {
    await using database = await postgres.createDatabase();
    const login = `rc_${randomBytes(4).toString('hex')}`;
    await database.query(`create role ${login} login replication password 'secret'`);
    const db = openTestPool(database.urlAs(login, 'secret'));
    try {
      const refused = await migrate({ pool: db.pool, log: collectingLog(), ...STANDARD });
      expect(refused).toMatchObject({ ok: false, reason: 'rights' });
      expect(!refused.ok && refused.message).toContain(`grant create on database ${database.name} to ${login};`);

      await database.query(`grant create on database ${database.name} to ${login}`);
      const result = await migrate({ pool: db.pool, log: collectingLog(), ...STANDARD });
      expect(result.ok).toBe(true);
      await db.pool.query(`create schema app`);
      await db.pool.query(`create table app.posts (id int primary key)`);
      await db.pool.query(`select realtime.watch('app.posts')`);
      expect((await db.pool.query('select relation, publication from realtime.watched')).rows).toEqual([
        { relation: 'app.posts', publication: 'rowcast' },
      ]);
    } finally {
      await db.close();
      await database.query(`drop owned by ${login} cascade; drop role ${login}`);
    }
  });

  it('a server that migrates without end keeps another one waiting only so long', async () => {
    await using it = await migratedDatabase(postgres);
    const holder = await it.database.connect();
    await holder.query('select pg_advisory_lock(32210705904137076)');
    const result = await migrate({ pool: it.db.pool, log: collectingLog(), ...STANDARD, waitMs: 50 });
    await holder.end();
    expect(result).toMatchObject({ ok: false, reason: 'busy' });
  });

  it('standard grants are given once: what was revoked later stays revoked', async () => {
    await using it = await migratedDatabase(postgres);
    await it.sql('revoke insert (payload) on realtime.messages from anon');
    await migrate({ pool: it.db.pool, log: collectingLog(), ...STANDARD });
    const granted = `select has_column_privilege($1, 'realtime.messages', 'payload', 'insert') as may`;
    expect([await it.sql(granted, ['anon']), await it.sql(granted, ['authenticated'])]).toEqual([
      [{ may: false }],
      [{ may: true }],
    ]);
  });

  it('functions and roles of the database are never replaced', async () => {
    await using database = await postgres.createDatabase();
    await database.query(`create schema auth; create function auth.uid() returns uuid language sql
      as $$ select '00000000-0000-0000-0000-00000000000a'::uuid $$`);
    const db = openTestPool(database.url);
    await migrate({ pool: db.pool, log: collectingLog(), ...STANDARD });
    const { rows } = await db.pool.query(`select auth.uid() as uid, auth.role() as role, auth.jwt() as jwt`);
    expect(rows).toEqual([{ uid: '00000000-0000-0000-0000-00000000000a', role: null, jwt: '{}' }]);
    await db.close();
  });
});

async function copyOfSql(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'rowcast-sql-'));
  await cp(SQL_FOLDER, path, { recursive: true });
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}
