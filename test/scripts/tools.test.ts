import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import jsonwebtoken from 'jsonwebtoken';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { runScript, type ScriptRun } from '../rig/run-script.ts';

const SECRET = 'a secret of more than thirty-two bytes';
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rowcast-tools-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('npm run token', () => {
  const token = (args: readonly string[], env: Record<string, string> = {}): Promise<ScriptRun> =>
    runScript('scripts/token.ts', { args, env: { ROWCAST_JWT_SECRET: SECRET, ROWCAST_DATA_DIR: folder, ...env } });

  it('signs role, sub and claims, with what the server asks for', async () => {
    const env = { ROWCAST_JWT_ISSUER: 'https://id.test/', ROWCAST_JWT_AUDIENCE: 'app' };
    const args = ['--role', 'authenticated', '--sub', 'u1', '--expires', '2h', '--claims', '{"org":"acme"}'];
    const { code, stdout } = await token(args, env);
    expect(code).toBe(0);
    const claims = jsonwebtoken.verify(stdout.trim(), SECRET, { algorithms: ['HS256'] }) as Record<string, number>;
    expect(claims).toMatchObject({
      role: 'authenticated',
      sub: 'u1',
      org: 'acme',
      iss: 'https://id.test/',
      aud: 'app',
    });
    expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(7200);
  });

  it('signs with the generated secret where none is set, and says so', async () => {
    const run = await token(['--role', 'anon'], { ROWCAST_JWT_SECRET: '' });
    expect(run.stderr).toContain(join(folder, 'jwt-secret'));
    const secret = readFileSync(join(folder, 'jwt-secret'), 'utf8').trim();
    expect(jsonwebtoken.verify(run.stdout.trim(), secret)).toMatchObject({ role: 'anon' });
  });

  it.each([
    [['--role', 'boss'], 'the role boss would be refused; the server takes anon, authenticated, service_role'],
    [['--role', 'anon', '--expires', 'soon'], '--expires soon is no time'],
    [['--role', 'anon', '--claims', '[1]'], '--claims must be a JSON object'],
    [[], "required option '--role <role>' not specified"],
  ])('refuses %j', async (args, message) => {
    const { code, stdout, stderr } = await token(args);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(message);
  });
});

describe('npm run config', () => {
  it('prints values with their source, and no secret', async () => {
    const env = { DATABASE_URL: 'postgres://u:hidden@h/d', ROWCAST_SLOT: 'mine' };
    const { code, stdout } = await runScript('scripts/config.ts', { args: ['--port=4001'], env });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^PORT +4001 +flag$/m);
    expect(stdout).toMatch(/^ROWCAST_SLOT +mine +environment$/m);
    expect(stdout).not.toContain('hidden');
  });

  it('explains what is wrong', async () => {
    const { code, stderr } = await runScript('scripts/config.ts', { env: { PORT: 'none' } });
    expect(code).toBe(1);
    expect(stderr).toBe(
      'PORT: "none" (from the environment) must be a whole number from 0 to 65535, for example 4000\n',
    );
  });
});

describeNewestPostgres('npm run sql', (postgres) => {
  it('runs statements and prints the rows as PostgreSQL writes them', async () => {
    await using database = await postgres.createDatabase();
    const sql = `create table t (id int8, at timestamptz, note text);
      insert into t values (9007199254740993, '2024-01-15 10:30Z', null), (2, null, E'two\\nlines');
      select id, note from t order by id desc;`;
    const run = await runScript('scripts/sql.ts', { args: [sql], env: { DATABASE_URL: database.url } });
    expect(run).toMatchObject({ code: 0, stderr: '' });
    expect(run.stdout).toContain('INSERT 2 rows\n');
    expect(run.stdout).toContain('9007199254740993  ∅\n2                 two⏎lines\n(2 rows)\n');
  });

  it('reads a file or standard input, and prints JSON on demand', async () => {
    await using database = await postgres.createDatabase();
    const env = { DATABASE_URL: database.url };
    const file = join(folder, 'one.sql');
    writeFileSync(file, 'select 1 as one');
    const fromFile = await runScript('scripts/sql.ts', { args: ['--json', '--file', file], env });
    const fromInput = await runScript('scripts/sql.ts', {
      args: ['--json'],
      input: `select null as n, true as b`,
      env,
    });
    expect(fromFile.stdout).toBe('[{"one":"1"}]\n');
    expect(fromInput.stdout).toBe('[{"n":null,"b":"t"}]\n');
  });

  it('points at a mistake, and changes nothing', async () => {
    await using database = await postgres.createDatabase();
    const args = ['create table t (a int);\nselect wrong from t'];
    const run = await runScript('scripts/sql.ts', { args, env: { DATABASE_URL: database.url } });
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('ERROR 42703: column "wrong" does not exist\nselect wrong from t\n       ^');
    expect(await database.query(`select to_regclass('t') as t`)).toEqual([{ t: null }]);
  });
});

it('npm run sql says where it could not connect, without the password', async () => {
  const env = { DATABASE_URL: 'postgres://ann:hidden@127.0.0.1:1/app' };
  const { code, stderr } = await runScript('scripts/sql.ts', { args: ['select 1'], env });
  expect(code).toBe(1);
  expect(stderr).toContain('cannot connect to ann@127.0.0.1:1/app: connect ECONNREFUSED');
  expect(stderr).not.toContain('hidden');
});
