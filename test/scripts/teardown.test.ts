import { expect, it } from 'vitest';
import { migrate } from '../../server/db/migrate.ts';
import { openPool } from '../../server/db/pools.ts';
import { describeEachPostgres, type TestDatabase } from '../rig/postgres.ts';
import { runScript, type ScriptRun } from '../rig/run-script.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

async function setUp(database: TestDatabase): Promise<void> {
  const options = {
    connectionString: database.url,
    applicationName: 'setup',
    max: 1,
    statementTimeoutMs: 0,
    log: silent,
  };
  const { pool, close } = openPool(options);
  const roles = { appRoles: ['anon', 'authenticated'], adminRoles: ['service_role'] };
  const result = await migrate({ pool, publicationPrefix: 'rowcast', ...roles, log: silent });
  await close();
  if (!result.ok) throw new Error(result.message);
  await database.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [database.slot]);
}

function teardown(database: TestDatabase, args: readonly string[] = ['--yes']): Promise<ScriptRun> {
  return runScript('scripts/teardown.ts', { args, env: { DATABASE_URL: database.url, ROWCAST_SLOT: database.slot } });
}

describeEachPostgres('npm run teardown', (postgres) => {
  it('removes slot, publications, schema and what depends on it, and leaves the tables', async () => {
    await using database = await postgres.createDatabase();
    await setUp(database);
    await database.query(`create table public.posts (id int primary key);
      create policy own on public.posts using (realtime.channel_name() is null)`);
    await database.query(`select realtime.watch('public.posts')`);

    const run = await teardown(database);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(run.stdout).toContain('policy own on table posts (uses the schema)');
    const [left] = await database.query(
      `select (select count(*)::int from pg_publication) as publications, to_regnamespace('realtime') as schema,
              (select count(*)::int from pg_replication_slots where slot_name = $1) as slots,
              to_regclass('public.posts')::text as posts`,
      [database.slot],
    );
    expect(left).toEqual({ publications: 0, schema: null, slots: 0, posts: 'posts' });
    expect(await teardown(database)).toMatchObject({ code: 0, stdout: 'nothing to remove\n' });
  });

  it('asks, and removes nothing where nobody can answer', async () => {
    await using database = await postgres.createDatabase();
    await setUp(database);
    expect(await teardown(database, [])).toMatchObject({ code: 1, stderr: 'nobody can be asked here: add --yes\n' });
    expect(await database.query(`select to_regnamespace('realtime') is not null as kept`)).toEqual([{ kept: true }]);
  });

  it('does not touch a schema of that name that is not its own', async () => {
    await using database = await postgres.createDatabase();
    await database.query('create schema realtime; create table realtime.theirs ()');
    const run = await teardown(database);
    expect(run).toMatchObject({ code: 0, stdout: 'nothing to remove\n' });
    expect(run.stderr).toContain('is not of Rowcast and stays');
    expect(await database.query(`select to_regclass('realtime.theirs')::text as t`)).toEqual([
      { t: 'realtime.theirs' },
    ]);
  });
});
