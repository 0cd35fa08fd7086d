import { expect, it } from 'vitest';
import type { Finding } from '../../scripts/doctor/finding.ts';
import { settlePolicyLogin } from '../../server/db/policy-login.ts';
import { collectingLog, migratedDatabase } from '../db/migrated.ts';
import { openPooler } from '../rig/pooler.ts';
import { describeNewestPostgres, type TestDatabase } from '../rig/postgres.ts';
import { runScript } from '../rig/run-script.ts';

async function examine(
  url: string,
  env: Record<string, string> = {},
): Promise<{ code: number | null; findings: Finding[] }> {
  const run = await runScript('scripts/doctor.ts', { args: ['--json'], env: { DATABASE_URL: url, ...env } });
  return { code: run.code, findings: JSON.parse(run.stdout || '[]') as Finding[] };
}

function find(findings: readonly Finding[], topic: string): Finding | undefined {
  return findings.find((finding) => finding.topic === topic);
}

/** Every statement that the findings name for a DBA. */
async function runRemedies(database: TestDatabase, findings: readonly Finding[]): Promise<void> {
  const problems = findings.filter(({ level }) => level === 'problem');
  for (const statement of problems.flatMap(({ sql }) => sql ?? [])) await database.query(statement);
}

describeNewestPostgres('npm run doctor', (postgres) => {
  it('finds nothing in the way for a superuser', async () => {
    await using database = await postgres.createDatabase();
    const { code, findings } = await examine(database.url, { ROWCAST_SLOT: database.slot });
    expect(findings.filter(({ level }) => level === 'problem')).toEqual([]);
    expect(code).toBe(0);
    expect(find(findings, 'replication connection')).toMatchObject({ level: 'ok' });
    expect(find(findings, 'connection')).toMatchObject({ level: 'ok' });
  });

  it('names each missing right of a plain login, with statements that give them', async () => {
    await using database = await postgres.createDatabase();
    const login = `plain_${database.name}`;
    const roles = [`a_${database.name}`, `b_${database.name}`];
    const env = { ROWCAST_SLOT: database.slot, ROWCAST_ROLES: roles.join(',') };
    await database.query(`create role ${login} login password 'p'`);
    try {
      const before = await examine(database.urlAs(login, 'p'), env);
      expect(before.code).toBe(1);
      expect(before.findings.filter(({ level }) => level === 'problem').map(({ topic }) => topic)).toEqual([
        'replication',
        'create',
        `role ${roles[0]}`,
        `role ${roles[1]}`,
        'replication connection',
      ]);
      expect(find(before.findings, 'create')?.sql).toEqual([`grant create on database ${database.name} to ${login};`]);

      await runRemedies(database, before.findings);
      const after = await examine(database.urlAs(login, 'p'), env);
      expect(after.findings.filter(({ level }) => level === 'problem')).toEqual([]);
      expect(after.code).toBe(0);
    } finally {
      await database.query(`drop owned by ${login}`);
      for (const role of [login, ...roles]) await database.query(`drop role if exists ${role}`);
    }
  });

  it('prints a script after which a plain login has all it needs', async () => {
    await using database = await postgres.createDatabase();
    const [login, policies, role] = [`login_${database.name}`, `policies_${database.name}`, `role_${database.name}`];
    await database.query(`create role ${login} login password 'p'`);
    try {
      const env = { ROWCAST_SLOT: database.slot, ROWCAST_ROLES: role, DATABASE_URL: database.urlAs(login, 'p') };
      const { stdout } = await runScript('scripts/doctor.ts', { args: ['--script', '--policy-login', policies], env });
      await database.query(stdout);
      await database.query(stdout);
      expect((await examine(env.DATABASE_URL, env)).code).toBe(0);
    } finally {
      for (const name of [login, policies]) await database.query(`drop owned by ${name}`);
      for (const name of [login, policies, role]) await database.query(`drop role if exists ${name}`);
    }
  });

  it('prints a script whose policy login takes the roles, and none that sees everything', async () => {
    await using database = await postgres.createDatabase();
    const [login, policies] = [`login_${database.name}`, `policies_${database.name}`];
    const [role, bypass] = [`role_${database.name}`, `bypass_${database.name}`];
    await database.query(`create role ${login} login password 'p'; create role ${bypass} bypassrls`);
    try {
      const env = { ROWCAST_SLOT: database.slot, ROWCAST_ROLES: `${role},${bypass}` };
      const url = database.urlAs(login, 'p');
      const args = ['--script', '--policy-login', policies];
      const { stdout } = await runScript('scripts/doctor.ts', { args, env: { ...env, DATABASE_URL: url } });
      await database.query(`${stdout}; alter role ${policies} password 'p'`);
      const policyUrl = database.urlAs(policies, 'p');
      const { code, findings } = await examine(url, { ...env, ROWCAST_POLICY_DATABASE_URL: policyUrl });
      expect(code).toBe(0);
      expect(find(findings, 'policy login')).toMatchObject({ level: 'ok', message: expect.stringContaining(policies) });
      expect(find(findings, `role ${role}`)).toBeUndefined();
      expect(find(findings, `role ${bypass}`)?.message).toContain('has BYPASSRLS');
    } finally {
      for (const name of [login, policies]) await database.query(`drop owned by ${name}`);
      for (const name of [login, policies, role, bypass]) await database.query(`drop role if exists ${name}`);
    }
  });

  it('says which policy login is unfit, where it leads, and which roles it lacks', async () => {
    await using database = await postgres.createDatabase();
    await using other = await postgres.createDatabase();
    const [policies, role] = [`policies_${database.name}`, `role_${database.name}`];
    await database.query(`create role ${policies} login noinherit superuser password 'p'; create role ${role}`);
    const examineWith = async (policyUrl: string): Promise<Finding[]> => {
      const env = { ROWCAST_SLOT: database.slot, ROWCAST_ROLES: role, ROWCAST_POLICY_DATABASE_URL: policyUrl };
      return (await examine(database.url, env)).findings;
    };
    try {
      const policyUrl = database.urlAs(policies, 'p');
      const sql = [`alter role ${policies} nosuperuser;`];
      expect(find(await examineWith(policyUrl), 'policy login')).toMatchObject({ level: 'problem', sql });
      await database.query(sql[0] ?? '');
      const findings = await examineWith(policyUrl);
      expect(find(findings, 'policy login')).toMatchObject({ level: 'ok' });
      const lack = find(findings, `role ${role}`);
      expect(lack).toMatchObject({ level: 'warning', sql: [expect.stringMatching(`^grant ${role} to ${policies}`)] });
      await database.query(lack?.sql?.[0] ?? '');
      expect(find(await examineWith(policyUrl), `role ${role}`)).toBeUndefined();

      const message = (url: string) => examineWith(url).then((all) => find(all, 'policy login')?.message);
      expect(await message(other.urlAs(policies, 'p'))).toContain('another database');
      expect(await message(database.urlAs(policies, 'wrong'))).toContain('cannot connect');
    } finally {
      await database.query(`drop role ${policies}, ${role}`);
    }
  });

  it('examines the policy login that the server made', async () => {
    await using host = await migratedDatabase(postgres);
    const { database, db } = host;
    expect(find((await examine(database.url)).findings, 'policy login')?.message).toContain('is made by the server');
    const roles = ['anon', 'authenticated'];
    const log = collectingLog();
    const made = await settlePolicyLogin({
      pool: db.pool,
      databaseUrl: database.url,
      policyUrl: undefined,
      roles,
      log,
    });
    if (!made.ok) throw new Error(made.message);
    const message = `${made.login} (made by the server)`;
    expect(find((await examine(database.url)).findings, 'policy login')).toMatchObject({ level: 'ok', message });
    await database.query(`alter role ${made.login} bypassrls`);
    expect(find((await examine(database.url)).findings, 'policy login')).toMatchObject({ level: 'problem' });
  });

  it('finds a slot that no promotion takes along, and what a publication leaves out', async () => {
    await using database = await postgres.createDatabase();
    await database.query('create table posts (id int primary key)');
    await database.query('create publication rowcast for table posts where (id > 5)');
    await database.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [database.slot]);
    const { findings } = await examine(database.url, { ROWCAST_SLOT: database.slot });
    const ofSlot = findings.filter(({ topic }) => topic === `slot ${database.slot}`).map(({ level }) => level);
    expect(ofSlot).toEqual(postgres.version >= 17 ? ['ok', 'note'] : ['ok']);
    expect(find(findings, 'publication rowcast')).toMatchObject({
      level: 'warning',
      sql: ['alter publication rowcast drop table posts;'],
    });
  });

  it('finds a slot of that name in another database', async () => {
    await using owner = await postgres.createDatabase();
    await using database = await postgres.createDatabase();
    await owner.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [owner.slot]);
    const { code, findings } = await examine(database.url, { ROWCAST_SLOT: owner.slot });
    expect(code).toBe(1);
    expect(find(findings, `slot ${owner.slot}`)).toMatchObject({
      level: 'problem',
      message: `belongs to the database ${owner.name}`,
      remedy: expect.stringContaining('ROWCAST_SLOT'),
    });
  });

  it('says who commits without waiting for the WAL', async () => {
    await using database = await postgres.createDatabase();
    await database.query(`alter database ${database.name} set synchronous_commit = off`);
    const { findings } = await examine(database.url);
    expect(find(findings, 'synchronous_commit')).toMatchObject({
      level: 'note',
      message: expect.stringContaining('up to wal_writer_delay (200ms) late'),
    });
  });

  it('notices a pooler in between', async () => {
    await using database = await postgres.createDatabase();
    await using pooler = await openPooler(database.url);
    const { code, findings } = await examine(pooler.url);
    expect(code).toBe(1);
    expect(find(findings, 'connection')).toMatchObject({
      level: 'problem',
      message: expect.stringContaining('goes through a connection pooler'),
    });
    expect(find(findings, 'replication connection')).toMatchObject({ level: 'problem' });
  });
});
