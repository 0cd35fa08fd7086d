import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Database, openPool } from '../../server/db/pools.ts';
import { PINNED_SETTINGS } from '../../server/db/session-settings.ts';
import { describeEachPostgres, type TestDatabase } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { collectingLog, openTestPool } from './migrated.ts';

describeEachPostgres('openPool', (postgres) => {
  let database: TestDatabase;
  let db: Database;
  const log = collectingLog();
  beforeAll(async () => {
    database = await postgres.createDatabase();
    for (const setting of [
      `datestyle = 'SQL, DMY'`,
      `intervalstyle = 'sql_standard'`,
      `timezone = 'Asia/Kolkata'`,
      'extra_float_digits = 0',
      `bytea_output = 'escape'`,
      `client_encoding = 'LATIN1'`,
      'quote_all_identifiers = on',
      'standard_conforming_strings = off',
      `default_transaction_isolation = 'serializable'`,
    ]) {
      await database.query(`alter database "${database.name}" set ${setting}`);
    }
    db = openTestPool(database.url, log);
  });
  afterAll(async () => {
    await db.close();
    await database.drop();
  });
  const one = async (expression: string): Promise<unknown> =>
    (await db.pool.query(`select ${expression} as value`)).rows[0].value;

  it.each(Object.entries(PINNED_SETTINGS))('%s is %s whatever the database says', async (name, value) => {
    expect(await one(`current_setting('${name}')`)).toBe(value);
  });

  it.each([
    [`'9223372036854775807'::int8`, 9223372036854775807n],
    [`'18446744073709551615'::xid8`, 18446744073709551615n],
    [`'FFFFFFFF/FFFFFFFF'::pg_lsn`, 0xffffffffffffffffn],
    [`12345678901234567890.10::numeric`, '12345678901234567890.10'],
    [`'2024-02-03 04:05:06.123456+05:30'::timestamptz`, '2024-02-02 22:35:06.123456+00'],
    [`'{"a": 9007199254740993}'::jsonb`, '{"a": 9007199254740993}'],
    [`'null'::json`, 'null'],
    ['null::jsonb', null],
    ['0.1::float8 + 0.2::float8', 0.30000000000000004],
    ['array[1, null]::int4[]', [1, null]],
    [`'\\x00ff'::bytea`, Buffer.from([0, 255])],
  ])('%s arrives exactly', async (expression, value) => {
    expect(await one(expression)).toEqual(value);
  });

  it('claims are an empty object before a transaction sets them, and after it', async () => {
    const client = await db.pool.connect();
    const claims = async () => (await client.query(`select current_setting('request.jwt.claims') as c`)).rows[0].c;
    const before = await claims();
    await client.query(`begin; select set_config('request.jwt.claims', '{"sub":"a"}', true); commit`);
    expect([before, await claims()]).toEqual(['{}', '{}']);
    client.release();
  });

  it('an idle connection that is terminated is logged, and the next query gets a new one', async () => {
    const client = await db.pool.connect();
    const { pid } = (await client.query('select pg_backend_pid() as pid')).rows[0];
    client.release();
    await database.query('select pg_terminate_backend($1)', [pid]);
    await until(() => log.lines.some(({ message }) => message === 'idle connection lost'));
    expect(await one('1')).toBe(1);
  });

  it('a connection that is terminated while in use fails its query only', async () => {
    const client = await db.pool.connect();
    const failure = await client.query('select pg_terminate_backend(pg_backend_pid())').catch((error) => error);
    expect(failure.code).toBe('57P01');
    client.release(true);
    expect(await one('2')).toBe(2);
  });

  it('options of the connection string are kept beside the pinned ones', async () => {
    const url = new URL(database.url);
    url.searchParams.set('options', '-c search_path=app -c timezone=Asia/Tokyo');
    const other = openTestPool(url.href);
    const { rows } = await other.pool.query(
      `select current_setting('search_path') as a, current_setting('timezone') as b`,
    );
    expect(rows[0]).toEqual({ a: 'app', b: 'UTC' });
    await other.close();
  });

  it('refuses a connection whose settings could not be pinned, naming them', async () => {
    const options = {
      applicationName: 'test',
      max: 1,
      statementTimeoutMs: 1000,
      log,
      settings: { TimeZone: 'Asia/Tokyo' },
    };
    const other = openPool({ ...options, connectionString: database.url });
    await expect(other.pool.query('select 1')).rejects.toThrow('TimeZone is Asia/Tokyo, must be UTC');
    await other.close();
  });

  it('closes twice without harm', async () => {
    const other = openTestPool(database.url);
    await other.pool.query('select 1');
    await Promise.all([other.close(), other.close()]);
  });
});
