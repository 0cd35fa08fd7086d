// Owns the proof that the test rig itself works: fresh databases on every version, and leaks that are seen.

import { expect, it } from 'vitest';
import { databaseLedger, describeEachPostgres } from './postgres.ts';
import { until } from './until.ts';

describeEachPostgres('the rig', (postgres) => {
  it('makes an empty database with logical WAL', async () => {
    await using database = await postgres.createDatabase();
    const [row] = await database.query<{ name: string; level: string; major: number }>(
      `select current_database() as name, current_setting('wal_level') as level,
              current_setting('server_version_num')::int / 10000 as major`,
    );
    expect(row).toEqual({ name: database.name, level: 'logical', major: postgres.version });
  });

  it('drops a database together with its slots', async () => {
    const database = await postgres.createDatabase();
    await database.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [database.slot]);
    await database.drop();
    await using witness = await postgres.createDatabase();
    expect(await witness.query(`select 1 from pg_replication_slots where slot_name = $1`, [database.slot])).toEqual([]);
    expect(await witness.query(`select 1 from pg_database where datname = $1`, [database.name])).toEqual([]);
  });

  it('complains about a connection that was not closed', async () => {
    const database = await postgres.createDatabase();
    const forgotten = await database.connect();
    await database.drop();
    expect(databaseLedger.complaints.splice(0)).toEqual([expect.stringContaining('dropped while connected: rig')]);
    await until(() => forgotten.end().then(() => true));
  });

  it('copies a template', async () => {
    await using template = await postgres.createDatabase();
    const client = await template.connect();
    await client.query('create table public.t as select 7 as n');
    await client.end();
    await using copy = await postgres.createDatabase({ template: template.name });
    expect(await copy.query('select n from public.t')).toEqual([{ n: 7 }]);
  });
});

it('says what it waited for in vain', async () => {
  const never = until(() => false, { what: 'the moon', timeoutMs: 20 });
  await expect(never).rejects.toThrow('waited in vain for the moon');
});
