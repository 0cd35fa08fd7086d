// A database may carry any settings for its sessions (traps of Postgres, rule 8): the server works all the
// same, and no byte of a message changes.

import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { SAMPLES, TYPE_SETUP, tableOf } from './common-types.ts';
import { startTestApp, type TestApp, type TestLogin } from './test-app.ts';
import type { ChangeFrame } from './test-client.ts';

const HOSTILE: readonly (readonly [name: string, value: string])[] = [
  ['datestyle', `'SQL, DMY'`],
  ['intervalstyle', `'sql_standard'`],
  ['timezone', `'Asia/Kolkata'`],
  ['extra_float_digits', '-15'],
  ['bytea_output', `'escape'`],
  ['client_encoding', `'LATIN1'`],
  ['search_path', '"Odd Schema", evil'],
  ['quote_all_identifiers', 'on'],
  ['standard_conforming_strings', 'off'],
  ['array_nulls', 'off'],
  ['transform_null_equals', 'on'],
  ['xmloption', `'document'`],
  ['synchronous_commit', 'off'],
  ['default_transaction_isolation', `'serializable'`],
  ['default_transaction_deferrable', 'on'],
  ['default_transaction_read_only', 'on'],
  ['row_security', 'off'],
  ['statement_timeout', `'1ms'`],
  ['lock_timeout', `'1ms'`],
  ['idle_session_timeout', `'50ms'`],
  ['idle_in_transaction_session_timeout', `'1ms'`],
  ['wal_sender_timeout', `'1s'`],
];

const SQL = `
  create schema evil;
  create table evil.channels (pattern text); create table evil.watched (relid oid);
  create function evil.may_publish(oid) returns boolean language sql return false;
  ${TYPE_SETUP}
  ${tableOf('samples', SAMPLES)}
  select realtime.watch('samples');`;
const ROWS = Math.max(...SAMPLES.map(({ values }) => values.length));

describeNewestPostgres('a database with hostile settings', (postgres) => {
  let plain: TestApp;
  let hostile: TestApp;

  const login = hostileLogin();

  beforeAll(async () => {
    plain = await startTestApp(postgres, { sql: SQL });
    hostile = await startTestApp(postgres, { login, sql: SQL });
  });
  afterAll(async () => {
    await plain[Symbol.asyncDispose]();
    await hostile[Symbol.asyncDispose]();
    const admin = new Client({ connectionString: postgres.url });
    await admin.connect();
    await admin.query(`drop role ${login.user}`);
    await admin.end();
  });

  /** Writes every sample, updates and deletes it; returns what arrives, times and positions aside. */
  async function changesOf({ database, client: connect }: TestApp): Promise<object[]> {
    const client = await connect();
    await client.subscribe('db:samples');
    for (let at = 0; at < ROWS; at++) {
      const values = SAMPLES.map(({ type, values }) =>
        values[at] === undefined ? 'null' : `(${values[at]})::${type}`,
      );
      await database.query(`insert into samples values (${at}, ${values.join(', ')})`);
    }
    await database.query('update samples set id = id + 100');
    await database.query('delete from samples');
    return (await client.received(ROWS * 3)).map(withoutTimes);
  }

  it('gives the same messages as any other', async () => {
    const [wanted, got] = [await changesOf(plain), await changesOf(hostile)];
    for (const [index, change] of wanted.entries()) expect(got[index]).toEqual(change);
  });

  it('has the same history as any other', async () => {
    const history = async ({ database }: TestApp): Promise<unknown[]> =>
      until(async () => {
        const rows = await database.query<{ payload: string }>(
          `select relation, op, old_image, new_image, payload - 'commit_timestamp' as payload
           from realtime.changes order by position`,
        );
        return rows.length === ROWS * 3 ? rows : undefined;
      });
    expect(await history(hostile)).toEqual(await history(plain));
  });

  it('is served without a complaint, and without a session lost to its timeouts', async () => {
    const journal = async (): Promise<{ start: string; idleMs: number } | undefined> => {
      const [session] = await hostile.database.query<{ start: string; idleMs: number }>(
        `select backend_start::text as start, extract(epoch from clock_timestamp() - state_change)::float8 * 1000 as "idleMs"
         from pg_stat_activity where datname = current_database() and application_name = 'rowcast journal'`,
      );
      return session;
    };
    const before = await journal();
    await until(async () => ((await journal())?.idleMs ?? 0) > 100, { what: 'a session as idle as may not be' });
    await hostile.database.query(`create table later (id int primary key); select realtime.watch('later')`);
    const client = await hostile.client();
    await client.subscribe('db:later');
    await hostile.database.query('insert into later values (1)');
    await client.received(1);
    expect((await journal())?.start).toBe(before?.start);
    expect(hostile.logLines.filter(({ level }) => level === 'warn' || level === 'error')).toEqual([]);
  });

  it('serves roles with SELECT, and users wherever their tables are', async () => {
    await hostile.database.query(`create table "Odd Schema".mine (id int primary key);
      grant usage on schema "Odd Schema" to authenticated; grant select on "Odd Schema".mine to authenticated;
      select realtime.watch('"Odd Schema".mine')`);
    const client = await hostile.client(hostile.token('authenticated'));
    await client.subscribe('db:"Odd Schema".mine');
    await hostile.database.query('insert into "Odd Schema".mine values (1)');
    await client.received(1);
  });

  it('survives a restart of the server', async () => {
    await hostile.restart();
    const client = await hostile.client();
    await client.subscribe('db:later');
    await hostile.database.query('insert into later values (2)');
    const [change] = await client.received(1);
    expect(change?.payload.new).toEqual({ id: 2 });
  });
});

/** A superuser, every second setting its own, the others the database's. */
function hostileLogin(): TestLogin {
  const user = `hostile_${randomBytes(4).toString('hex')}`;
  const owners = [`database %1$I`, `role ${user}`];
  const settings = HOSTILE.map(([name, value], index) => {
    const statement = `alter ${owners[index % 2]} set ${name} = ${value}`;
    return `execute format(${quoted(statement)}, current_database());`;
  });
  const prepare = `create role ${user} superuser login password 'hostile'; do $$ begin ${settings.join(' ')} end $$`;
  return { user, password: 'hostile', prepare };
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function withoutTimes({ event, payload }: ChangeFrame): object {
  return { event, payload: { ...payload, commit_timestamp: null } };
}
