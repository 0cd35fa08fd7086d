// The look at slot and publications over real databases of both versions: what it reports, and whom it calls.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SlotWatch } from '../../server/replication/slot-watch.ts';
import { collectingLog, type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

const MIB = 1024 * 1024;

describeEachPostgres('a look at the slot', (postgres) => {
  let migrated: MigratedDatabase;
  beforeAll(async () => {
    migrated = await migratedDatabase(postgres);
    await migrated.sql(`update realtime.checkpoint set publications = (
      select jsonb_object_agg(pubname, oid::bigint) from pg_publication where pubname like 'rowcast%')`);
  });
  afterAll(() => migrated.close());

  it('calls nobody while there is no slot', async () => {
    expect(await look(migrated)).toMatchObject({ calls: [], messages: [] });
  });

  describe('with a slot', () => {
    beforeAll(() =>
      migrated.sql(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [migrated.database.slot]),
    );

    it('lets deliver while little is held back', async () => {
      expect(await look(migrated)).toMatchObject({ calls: ['held', 'deliver'], messages: [] });
    });

    it('sheds, or gives the slot up, by what is held back', async () => {
      await migrated.sql(`create table big as select repeat(md5(n::text), 30) from generate_series(1, 30000) as n`);
      // Others write to the same WAL: what is held back now, and some more.
      const { retainedBytes } = await look(migrated);
      expect((await look(migrated, { maxRetainedBytes: retainedBytes * 1.7 })).calls).toEqual(['held', 'shed']);
      expect((await look(migrated, { maxRetainedBytes: retainedBytes * 0.8 })).calls).toEqual(['held', 'discard']);
    });

    it('leaves everything to the leader where another server leads', async () => {
      expect((await look(migrated, { maxRetainedBytes: 16 * MIB, isLeading: false })).calls).toEqual(['held']);
    });

    it('opens the stream anew when a publication is another one, and says what is narrowed', async () => {
      await migrated.sql('drop publication rowcast');
      await migrated.sql('create table posts (id int primary key)');
      await migrated.sql('create publication rowcast for table posts where (id > 5)');
      const { calls, messages } = await look(migrated);
      expect(calls).toContain('reopen');
      expect(messages).toEqual([
        'a table has a row filter or a column list in a publication of Rowcast: changes are missing',
      ]);
    });
  });
});

type Looked = { readonly calls: string[]; readonly messages: string[]; readonly retainedBytes: number };

async function look(
  { db, database }: MigratedDatabase,
  options: { readonly maxRetainedBytes?: number; readonly isLeading?: boolean } = {},
): Promise<Looked> {
  const calls: string[] = [];
  let retainedBytes = 0;
  const log = collectingLog();
  const called = (what: string) => (): boolean => calls.push(what) < 0;
  const watch = new SlotWatch({
    pool: db.pool,
    slot: database.slot,
    publicationPrefix: 'rowcast',
    maxRetainedBytes: options.maxRetainedBytes ?? 1024 * MIB,
    isLeading: () => options.isLeading ?? true,
    onHeld: (held) => {
      retainedBytes = held.retainedBytes;
      calls.push('held');
    },
    shed: called('shed'),
    deliver: called('deliver'),
    discardSlot: called('discard'),
    reopen: called('reopen'),
    log,
  });
  await watch.look();
  const messages = log.lines.filter(({ level }) => level === 'warn').map(({ message }) => message);
  return { calls, messages, retainedBytes };
}
