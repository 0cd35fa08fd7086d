import { expect, it } from 'vitest';
import { migrate } from '../../server/db/migrate.ts';
import { settlePolicyLogin } from '../../server/db/policy-login.ts';
import { openPool } from '../../server/db/pools.ts';
import { describeNewestPostgres, type TestDatabase } from '../rig/postgres.ts';
import { runScript, type ScriptRun } from '../rig/run-script.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

type Policies = { readonly policyUrl?: string; readonly roles?: readonly string[] };

/** What a first start as `databaseUrl` makes; returns the policy login. */
async function setUp(database: TestDatabase, databaseUrl = database.url, policies: Policies = {}): Promise<string> {
  const options = {
    connectionString: databaseUrl,
    applicationName: 'setup',
    max: 1,
    statementTimeoutMs: 0,
    log: silent,
  };
  const { pool, close } = openPool(options);
  const { policyUrl, roles = ['anon', 'authenticated'] } = policies;
  const rights = { appRoles: roles, adminRoles: ['service_role'] };
  const result = await migrate({ pool, publicationPrefix: 'rowcast', ...rights, log: silent });
  const login = result.ok ? await settlePolicyLogin({ pool, databaseUrl, policyUrl, roles, log: silent }) : result;
  await close();
  if (!login.ok) throw new Error(login.message);
  await database.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [database.slot]);
  return login.login;
}

function teardown(database: TestDatabase, args = ['--yes'], url = database.url): Promise<ScriptRun> {
  return runScript('scripts/teardown.ts', { args, env: { DATABASE_URL: url, ROWCAST_SLOT: database.slot } });
}

async function exists(database: TestDatabase, role: string): Promise<boolean> {
  return (await database.query('select from pg_roles where rolname = $1', [role])).length === 1;
}

describeNewestPostgres('npm run teardown', (postgres) => {
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

  it('removes the login that was made for policies, whatever it was given in this database', async () => {
    await using database = await postgres.createDatabase();
    const login = await setUp(database);
    await database.query(`create table public.posts (id int primary key); grant select on public.posts to ${login};
      grant create on database ${database.name} to ${login}`);
    const run = await teardown(database);
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(run.stdout).toContain(`login ${login}, with its rights in this database`);
    expect(await exists(database, login)).toBe(false);
  });

  it('removes that login as a login with CREATEROLE too', async () => {
    await using database = await postgres.createDatabase();
    const main = `main_${database.name}`;
    const role = `app_${database.name}`;
    await database.query(`create role ${main} login createrole password 'p'; create role ${role};
      grant ${role} to ${main} with admin option; grant create on database ${database.name} to ${main}`);
    try {
      const url = database.urlAs(main, 'p');
      const login = await setUp(database, url, { roles: [role] });
      await database.query(`select pg_drop_replication_slot($1)`, [database.slot]);
      expect(await teardown(database, ['--yes'], url)).toMatchObject({ code: 0, stderr: '' });
      expect(await exists(database, login)).toBe(false);
    } finally {
      await database.query(`drop owned by ${main}, ${role} cascade; drop role ${main}, ${role}`);
    }
  });

  it('says what to run where a right of that login is not its own to take away', async () => {
    await using database = await postgres.createDatabase();
    const main = `main_${database.name}`;
    await database.query(`create role ${main} login createrole password 'p';
      grant create on database ${database.name} to ${main}`);
    try {
      const url = database.urlAs(main, 'p');
      const login = await setUp(database, url, { roles: [] });
      await database.query(`create table public.posts (id int primary key); grant select on public.posts to ${login}`);
      await database.query(`select pg_drop_replication_slot($1)`, [database.slot]);
      const run = await teardown(database, ['--yes'], url);
      const remedy = `drop owned by "${login}"; drop role "${login}";`;
      expect(run.stderr).toContain(`run as a superuser, in this database: ${remedy}`);
      expect(await exists(database, login)).toBe(true);
      await database.query(remedy);
      expect(await exists(database, login)).toBe(false);
    } finally {
      await database.query(`drop owned by ${main} cascade; drop role ${main}`);
    }
  });

  it('leaves a policy login that was given, without rights', async () => {
    await using database = await postgres.createDatabase();
    const login = `given_${database.name}`;
    await database.query(`create role ${login} login noinherit password 'p'`);
    try {
      await setUp(database, database.url, { policyUrl: database.urlAs(login, 'p') });
      expect(await teardown(database)).toMatchObject({ code: 0, stderr: '' });
      await database.query(`drop role ${login}`);
      expect(await exists(database, login)).toBe(false);
    } finally {
      await database.query(`drop role if exists ${login}`);
    }
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
