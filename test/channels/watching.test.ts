// Looking after watched tables: when one is complete, and what the poll of the catalogue does and says.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { CataloguePoll } from '../../server/channels/catalogue-poll.ts';
import { ChannelStore } from '../../server/channels/channel-store.ts';
import { WatchCompletion } from '../../server/channels/watch-completion.ts';
import { collectingLog, type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';

describeEachPostgres('the channels room', (postgres) => {
  let migrated: MigratedDatabase;
  let store: ChannelStore;
  let count = 0;

  beforeAll(async () => {
    migrated = await migratedDatabase(postgres);
    store = new ChannelStore(migrated.db.pool);
  });
  afterAll(() => migrated.close());

  const completion = (timeoutMs: number, signal = new AbortController().signal): WatchCompletion =>
    new WatchCompletion({ pool: migrated.db.pool, timeoutMs, signal });

  async function watched(columns = 'id int primary key'): Promise<{ name: string; oid: number }> {
    const name = `t${++count}`;
    await migrated.sql(`create table ${name} (${columns})`);
    await migrated.sql(`select realtime.watch('${name}')`);
    const table = await store.watched({ schema: 'public', table: name });
    return { name, oid: table?.oid ?? 0 };
  }

  it('knows a watched table by its name, taken as it stands', async () => {
    const { name, oid } = await watched();
    expect(await store.watched({ schema: 'public', table: name })).toEqual({
      oid,
      isComplete: false,
      identityGap: null,
    });
    for (const table of [name.toUpperCase(), `"${name}"`, `public.${name}`, 'no_such', '']) {
      expect(await store.watched({ schema: 'public', table })).toBeUndefined();
    }
    expect(await store.watched({ schema: 'no_such', table: name })).toBeUndefined();
  });

  it('tells why a table is watched for inserts only', async () => {
    const { name } = await watched('n int');
    const table = await store.watched({ schema: 'public', table: name });
    expect(table?.identityGap).toMatch(/has no primary key/);
  });

  it('decides a name by its most specific row, whatever a name holds', async () => {
    await migrated.sql(
      `insert into realtime.channels (pattern, persist) values ('order:*', false), ('order:42', null), ('a_b:*', true)`,
    );
    expect(await store.deciding('order:42')).toMatchObject({ pattern: 'order:42', isEnabled: true, persist: false });
    expect(await store.deciding('order:7')).toMatchObject({ pattern: 'order:*', persist: false });
    expect(await store.deciding('aXb:1')).toBeUndefined();
    expect(await store.deciding(`'; drop table realtime.channels; --`)).toBeUndefined();
    await migrated.sql(`update realtime.channels set enabled = false where pattern = 'order:42'`);
    expect(await store.deciding('order:42')).toMatchObject({ pattern: 'order:42', isEnabled: false });
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
    expect(await store.watched({ schema: 'public', table: name })).toMatchObject({ isComplete: true });
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
    const poll = new CataloguePoll({ pool: migrated.db.pool, completion: completion(0), log });
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
    const poll = new CataloguePoll({ pool: migrated.db.pool, completion: completion(0), log: collectingLog() });
    await until(async () => {
      await poll.look();
      return (await migrated.sql('select from realtime.watched where relid = $1 and completed', [oid])).length === 1;
    });
  });
});
