import { afterAll, beforeAll, expect, it } from 'vitest';
import { refusableQuery } from '../../server/db/refusable-query.ts';
import { describeEachPostgres, type TestDatabase } from '../rig/postgres.ts';
import { openTestPool } from './migrated.ts';

describeEachPostgres('a statement that is refused', (postgres) => {
  let database: TestDatabase;
  beforeAll(async () => {
    database = await postgres.createDatabase();
  });
  afterAll(() => database.drop());

  it('keeps its connection, unless the session has ended', async () => {
    const { pool, close } = openTestPool(database.url);
    const pid = async (): Promise<unknown> =>
      (await refusableQuery<{ pid: number }>(pool, { text: 'select pg_backend_pid() as pid' })).rows[0]?.pid;
    const first = await pid();
    for (const text of ['select 1/0', 'selec 1', 'set statement_timeout = 1; select pg_sleep(1)']) {
      await expect(refusableQuery(pool, { text })).rejects.toThrow();
      expect(await pid()).toBe(first);
    }
    await expect(refusableQuery(pool, { text: 'select pg_terminate_backend(pg_backend_pid())' })).rejects.toThrow();
    expect(await pid()).not.toBe(first);
    await close();
  });
});
