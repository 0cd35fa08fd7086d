// Looking after watched tables: when one is complete, and what the poll of the catalogue does and says.

import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CataloguePoll } from '../../server/channels/catalogue-poll.ts';
import { type ChannelFacts, ChannelStore, type TableFacts } from '../../server/channels/channel-store.ts';
import { EphemeralTables } from '../../server/channels/ephemeral-tables.ts';
import { WatchCompletion } from '../../server/channels/watch-completion.ts';
import { must } from '../../server/lib/assert.ts';
import { type ParsedChannel, parseChannelName } from '../../server/protocol/channel-name.ts';
import { collectingLog, type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';

function parsed(name: string): ParsedChannel {
  const result = parseChannelName(name);
  if (!result.ok) throw new Error(result.refusal.message);
  return result.channel;
}

describeEachPostgres('the channels room', (postgres) => {
  let migrated: MigratedDatabase;
  let store: ChannelStore;
  let count = 0;

  beforeAll(async () => {
    migrated = await migratedDatabase(postgres);
    store = new ChannelStore(migrated.db.pool, () => true);
  });
  afterAll(() => migrated.close());

  const parts = () => ({
    pool: migrated.db.pool,
    ephemeralTables: new EphemeralTables(migrated.db.pool),
    onPartitionsChanged: () => undefined,
  });

  const completion = (timeoutMs: number, signal = new AbortController().signal): WatchCompletion =>
    new WatchCompletion({ pool: migrated.db.pool, timeoutMs, hasReached: () => true, signal });

  async function watched(columns = 'id int primary key'): Promise<{ name: string; oid: number }> {
    const name = `t${++count}`;
    await migrated.sql(`create table ${name} (${columns})`);
    await migrated.sql(`select realtime.watch('${name}')`);
    return { name, oid: (await tableOf(name))?.oid ?? 0 };
  }

  const factsOf = async (channel: string): Promise<ChannelFacts> =>
    must((await store.facts([parsed(channel)]))[0], 'facts');
  const tableOf = async (name: string): Promise<TableFacts | null> => (await factsOf(`db:${name}`)).table;

  it('knows a watched table by its name, taken as it stands', async () => {
    const { name, oid } = await watched();
    expect(await tableOf(name)).toEqual({
      oid,
      isWatched: true,
      isComplete: false,
      identityGap: null,
      isFull: false,
      watch: expect.stringContaining(`${oid} `),
    });
    for (const table of [name.toUpperCase(), 'no_such', `no_such.${name}`]) expect(await tableOf(table)).toBeNull();
  });

  it('knows a table that is not watched as such', async () => {
    await migrated.sql('create table unwatched (id int primary key)');
    expect(await factsOf('db:unwatched')).toMatchObject({ deciding: null, table: { isWatched: false } });
  });

  it('tells why a table is watched for inserts only', async () => {
    const { name } = await watched('n int');
    expect((await tableOf(name))?.identityGap).toMatch(/has no primary key/);
  });

  it('calls old images whole only if those of every partition are', async () => {
    const { name } = await watched();
    await migrated.sql(`alter table ${name} replica identity full`);
    expect(await tableOf(name)).toMatchObject({ isFull: true });
    await migrated.sql(`create table parts (id int primary key) partition by range (id);
      create table parts_1 partition of parts default;
      alter table parts replica identity full; select realtime.watch('parts')`);
    expect(await tableOf('parts')).toMatchObject({ isFull: false });
    await migrated.sql('alter table parts_1 replica identity full');
    expect(await tableOf('parts')).toMatchObject({ isFull: true });
  });

  it.each([
    ['is let go and watched again', `select realtime.unwatch('T'); select realtime.watch('T')`],
    [
      'is dropped and made again',
      `drop table T; create table T (id int primary key); select * from realtime.reconcile_watched()`,
    ],
  ])('tells by another watch that a table %s', async (_, sql) => {
    const { name } = await watched();
    const before = await tableOf(name);
    await migrated.sql(sql.replaceAll('T', name));
    const after = await tableOf(name);
    expect(after).toMatchObject({ isWatched: true });
    expect(after?.watch).not.toBe(before?.watch);
  });

  it('keeps the watch of a table that only changed', async () => {
    const { name, oid } = await watched();
    const before = await tableOf(name);
    await migrated.sql(`alter table ${name} add column more text`);
    expect(await completion(10_000).wait(oid)).toBe(true);
    expect((await tableOf(name))?.watch).toBe(before?.watch);
  });

  it('decides a name by its most specific row, whatever a name holds', async () => {
    await migrated.sql(
      `insert into realtime.channels (pattern, persist) values ('order:*', false), ('order:42', null), ('a_b:*', true)`,
    );
    expect((await factsOf('order:42')).deciding).toMatchObject({ pattern: 'order:42', isEnabled: true });
    expect((await factsOf('order:7')).deciding).toMatchObject({ pattern: 'order:*' });
    expect((await factsOf('aXb:1')).deciding).toBeNull();
    await migrated.sql(`update realtime.channels set enabled = false where pattern = 'order:42'`);
    expect((await factsOf('order:42')).deciding).toMatchObject({ pattern: 'order:42', isEnabled: false });
  });

  it('decides as realtime.deciding_channel() does, for many names at once', async () => {
    const part = fc.constantFrom('a', 'b', '_', ':', '/');
    const name = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join(''));
    const pattern = fc
      .array(fc.oneof(part, fc.constant('*')), { minLength: 1, maxLength: 4 })
      .map((parts) => parts.join(''));
    const patterns = fc.uniqueArray(pattern, { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(patterns, fc.array(name, { minLength: 1, maxLength: 8 }), async (rows, names) => {
        await migrated.sql('delete from realtime.channels where pattern not like $1', ['db:%']);
        await migrated.sql('insert into realtime.channels (pattern) select unnest($1::text[])', [rows]);
        const channels = names.map(parsed);
        const facts = await store.facts(channels);
        const expected = await migrated.sql<{ id: string | null }>(
          `select d.channel_id as id from unnest($1::text[]) with ordinality n (name, place)
           left join lateral realtime.deciding_channel(n.name) d on true order by n.place`,
          [names],
        );
        expect(facts.map(({ deciding }) => deciding?.id ?? null)).toEqual(expected.map(({ id }) => id));
      }),
      { numRuns: 60 },
    );
  });

  it('calls a table complete once the transactions of that time have ended', async () => {
    const { oid } = await watched();
    const writer = await migrated.database.connect();
    await writer.query('begin; select pg_current_xact_id()');
    const { name, oid: later } = await watched();
    expect(await completion(100).wait(later)).toBe(false);
    const waiting = completion(10_000).wait(later);
    await writer.query('commit');
    expect(await waiting).toBe(true);
    expect(await tableOf(name)).toMatchObject({ isComplete: true });
    expect(await completion(10_000).wait(oid)).toBe(true);
    await writer.end();
  });

  it('does not wait for transactions that only read', async () => {
    const reader = await migrated.database.connect();
    await reader.query('begin isolation level repeatable read; select count(*) from pg_class');
    const { oid } = await watched();
    expect(await completion(10_000).wait(oid)).toBe(true);
    await reader.query('commit');
    await reader.end();
  });

  it('stops waiting when it is told to, and for a table that is not watched', async () => {
    expect(await completion(10_000, AbortSignal.abort()).wait(1)).toBe(false);
    expect(await completion(0).wait(1)).toBe(false);
  });

  it('says each thing that it found once, and does it where it may', async () => {
    const [keyless, dropped] = [await watched(), await watched()];
    await migrated.sql(`alter table ${keyless.name} drop constraint ${keyless.name}_pkey`);
    await migrated.sql(`drop table ${dropped.name}`);
    const log = collectingLog();
    const poll = new CataloguePoll({ ...parts(), completion: completion(0), log });
    const toldBy = async (): Promise<unknown[]> => {
      await poll.look();
      return log.lines.splice(0).map(({ level, fields }) => [level, fields.relation, fields.action]);
    };
    const first = await toldBy();
    expect(first).toContainEqual(['info', keyless.name, 'publish']);
    expect(first).toContainEqual(['warn', dropped.name, 'missing']);
    expect(await toldBy()).toEqual([]);
    await migrated.sql(`create table ${dropped.name} (id int primary key)`);
    expect(await toldBy()).toEqual([['info', dropped.name, 'publish']]);
    expect(await toldBy()).toEqual([]);
    await migrated.sql(`drop table ${dropped.name}`);
    expect(await toldBy()).toContainEqual(['warn', dropped.name, 'missing']);
  });

  it('completes every table that waits, look by look', async () => {
    const { oid } = await watched();
    const poll = new CataloguePoll({ ...parts(), completion: completion(0), log: collectingLog() });
    await until(async () => {
      await poll.look();
      return (await migrated.sql('select from realtime.watched where relid = $1 and completed', [oid])).length === 1;
    });
  });
});
