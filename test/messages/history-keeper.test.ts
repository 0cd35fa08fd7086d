// The house-keeping of history: partitions ahead, retention, and that neither is ever in the app's way.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { HistoryKeeper, type HistoryState } from '../../server/messages/history-keeper.ts';
import { readStatistics } from '../../server/messages/history-statistics.ts';
import { collectingLog, openTestPool } from '../db/migrated.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { type HistoryStage, openHistoryStage } from './history-stage.ts';

const NEVER = new AbortController().signal;
const DAY_MS = 86_400_000;
/** Of the keeper: a lock is waited for 200 ms, three times. What a busy machine adds is allowed for. */
const BLOCKED_AT_MOST_MS = 1_500;

describeEachPostgres('the house-keeping of history', (postgres) => {
  let stage: HistoryStage;
  let channelId: string;
  const counted = { made: 0, dropped: 0, removed: 0, failed: 0 };
  let state: HistoryState | undefined;

  beforeAll(async () => {
    stage = await openHistoryStage(postgres);
    channelId = await stage.channel('order:*');
  });
  afterAll(() => stage[Symbol.asyncDispose]());
  beforeEach(async () => {
    await stage.host.sql(`
      do $$ declare p record; begin
        for p in select * from realtime.partitions() loop perform realtime.drop_partition(p.parent, p.day); end loop;
      end $$`);
    await stage.host.sql('truncate realtime.messages, realtime.changes, realtime.message_ids');
    await stage.host.sql(`delete from realtime.channels where pattern <> 'order:*'`);
    await stage.host.sql(
      'update realtime.settings set retention_days = 7; update realtime.channels set retention_days = null',
    );
    Object.assign(counted, { made: 0, dropped: 0, removed: 0, failed: 0 });
  });

  const count =
    (name: keyof typeof counted) =>
    (by: number): void => {
      counted[name] += by;
    };
  function keeper(log = collectingLog(), pool = stage.host.db.pool): HistoryKeeper {
    return new HistoryKeeper({
      pool,
      log,
      now: () => performance.now(),
      counters: {
        made: count('made'),
        dropped: count('dropped'),
        removed: count('removed'),
        failed: count('failed'),
        seen: (seen) => {
          state = seen;
        },
      },
    });
  }
  const partitions = async (): Promise<string[]> =>
    (await stage.host.sql<{ name: string }>('select partition_name as name from realtime.partitions() order by 1')).map(
      ({ name }) => name,
    );
  const dayName = (daysFromNow: number): string =>
    new Date(Date.now() + daysFromNow * DAY_MS).toISOString().slice(0, 10).replaceAll('-', '');
  const daysAgo = (days: number): string => new Date(Date.now() - days * DAY_MS).toISOString();
  const makePartition = (parent: string, daysFromNow: number) =>
    stage.host.sql(`select realtime.make_partition($1, (now() at time zone 'UTC')::date + $2::int)`, [
      parent,
      daysFromNow,
    ]);
  const message = (place: number, days: number, more: object = {}) => ({
    place,
    at: daysAgo(days),
    channelId,
    channel: 'order:1',
    ...more,
  });
  const listed = async (): Promise<number[]> =>
    (await stage.list({ order: 'asc' })).map(({ position }) => Number.parseInt(position.slice(9, 25), 16) / 64);
  const total = async (): Promise<number> => (await readStatistics(stage.host.db.pool, {})).totalMessages;
  async function session<T>(work: (client: Client) => Promise<T>): Promise<T> {
    const client = await stage.host.database.connect();
    try {
      return await work(client);
    } finally {
      await client.end();
    }
  }
  const publish = `select realtime.publish('order:1', 'e', '1')`;

  describe('makes partitions', () => {
    it('for today and seven days ahead, once', async () => {
      expect(await keeper().keep(NEVER)).toBe('done');
      const days = Array.from({ length: 8 }, (_, ahead) => dayName(ahead));
      expect(await partitions()).toEqual([
        ...days.map((day) => `changes_${day}`),
        ...days.map((day) => `messages_${day}`),
      ]);
      expect(await keeper().keep(NEVER)).toBe('done');
      expect(counted).toMatchObject({ made: 16, failed: 0 });
      const today = Date.parse(new Date().toISOString().slice(0, 10)) / 1000;
      expect(state).toMatchObject({ oldestDaySeconds: today, daysReady: 8 });
    });

    it('that take what is published, whatever the zone of the publisher', async () => {
      await keeper().keep(NEVER);
      for (const zone of ['UTC', 'Pacific/Kiritimati', 'Etc/GMT+12']) {
        await session(async (client) => {
          await client.query(`set timezone = '${zone}'`);
          await client.query(publish);
        });
      }
      expect(await stage.host.sql('select distinct tableoid::regclass::text as part from realtime.messages')).toEqual([
        { part: `realtime.messages_${dayName(0)}` },
      ]);
    });

    it('but leaves a day whose rows lie in the default partition', async () => {
      await stage.host.sql(publish);
      await stage.changes([{ place: 1, at: daysAgo(-3), relation: 'posts' }]);
      expect(await keeper().keep(NEVER)).toBe('done');
      const made = await partitions();
      expect(made).not.toContain(`messages_${dayName(0)}`);
      expect(made).not.toContain(`changes_${dayName(3)}`);
      expect(counted.made).toBe(14);
      expect(state?.daysReady).toBe(0);
      await stage.host.sql(publish);
      expect(await stage.host.sql('select count(*)::int as count from only realtime.messages_default')).toEqual([
        { count: 2 },
      ]);
    });

    it('of which two servers make each one once', async () => {
      const other = openTestPool(stage.host.database.url);
      try {
        const results = await Promise.all([keeper().keep(NEVER), keeper(collectingLog(), other.pool).keep(NEVER)]);
        expect(results).toContain('done');
      } finally {
        await other.close();
      }
      expect(counted).toMatchObject({ made: 16, failed: 0 });
      expect(await partitions()).toHaveLength(16);
    });
  });

  describe('with an open publisher', () => {
    it('gives up soon, lets others publish meanwhile, and succeeds later', async () => {
      const log = collectingLog();
      await session(async (open) => {
        await open.query(`begin; ${publish}`);
        const done = keeper(log).keep(NEVER);
        const waits: number[] = [];
        let isOver = false;
        const publishing = session(async (other) => {
          while (!isOver) {
            const startedAt = performance.now();
            await other.query(publish);
            waits.push(performance.now() - startedAt);
            await sleep(5);
          }
        });
        expect(await done).toBe('has_to_wait');
        isOver = true;
        await publishing;
        expect(Math.max(...waits)).toBeLessThan(BLOCKED_AT_MOST_MS);
        expect(waits.length).toBeGreaterThan(10);
        await open.query('commit');
      });
      expect(log.lines.filter(({ level }) => level === 'warn')).toMatchObject([
        { fields: { step: 'make_partition', parent: 'messages', sqlstate: '55P03' } },
      ]);
      expect(counted.failed).toBe(1);
      expect(await keeper().keep(NEVER)).toBe('done');
      expect((await partitions()).filter((name) => name.startsWith('messages'))).toHaveLength(7);
    });

    it('drops nothing that is in use, and drops it later with its counts', async () => {
      for (const parent of ['messages', 'changes']) await makePartition(parent, -20);
      await stage.messages([message(1, 20), message(2, 1)]);
      await stage.changes([{ place: 3, at: daysAgo(20), relation: 'posts' }]);
      await session(async (reader) => {
        await reader.query('begin; select count(*) from realtime.messages');
        expect(await keeper().keep(NEVER)).toBe('has_to_wait');
        expect(await listed()).toEqual([1, 2]);
        expect(await total()).toBe(2);
        await reader.query('commit');
      });
      expect(await keeper().keep(NEVER)).toBe('done');
      expect(await listed()).toEqual([2]);
      expect(await total()).toBe(1);
      expect(counted).toMatchObject({ dropped: 2, removed: 2 });
    });
  });

  describe('ends what is old', () => {
    it('by whole days, in partitions and in the default one, placed or not', async () => {
      for (const days of [-9, -8, -7]) await makePartition('messages', days);
      await stage.messages([9, 8, 7, 0].map((days, index) => message(index + 1, days)));
      await stage.changes(
        [12, 8, 7, 1].map((days, index) => ({ place: index + 5, at: daysAgo(days), relation: 'posts' })),
      );
      await stage.messages([message(0, 30), message(0, 2)], false);
      expect(await keeper().keep(NEVER)).toBe('done');
      expect(await listed()).toEqual([3, 4, 7, 8]);
      expect(await total()).toBe(4);
      expect(
        await stage.host.sql('select count(*)::int as count from realtime.messages where position is null'),
      ).toEqual([{ count: 1 }]);
      expect(counted).toMatchObject({ dropped: 2, removed: 5 });
      const counts = await stage.host.sql(
        `select count(*)::int as rows, min(bucket) < now() - interval '8 days' as old from realtime.message_counts`,
      );
      expect(counts).toEqual([{ rows: 8, old: false }]);
    });

    it('also after a month without a server, when all lies in the default partition', async () => {
      await stage.messages(Array.from({ length: 3_000 }, (_, index) => message(index + 1, 30 - index / 100)));
      expect(await keeper().keep(NEVER)).toBe('done');
      const kept = await stage.host.sql<{ oldest: number; count: number }>(
        `select extract(day from now() - min(created_at))::int as oldest, count(*)::int as count from realtime.messages`,
      );
      expect(kept[0]?.oldest).toBeLessThanOrEqual(7);
      expect(kept[0]?.count).toBeGreaterThan(690);
      expect(await total()).toBe(kept[0]?.count);
      await stage.host.sql(publish);
    });

    it('never, where it is kept for ever', async () => {
      await stage.host.sql('update realtime.settings set retention_days = null');
      await makePartition('messages', -400);
      await stage.messages([message(1, 400), message(2, 300)]);
      expect(await keeper().keep(NEVER)).toBe('done');
      expect(await listed()).toEqual([1, 2]);
    });

    it('of channels that are kept shorter, as the rows that match a name say', async () => {
      await stage.host.sql(`update realtime.channels set retention_days = 2`);
      await stage.channel('order:keep', 5);
      await stage.channel('order:as-all');
      await stage.host.sql(
        `insert into realtime.channels (pattern, retention_days, enabled) values ('order:off', 1, false), ('chat:*', 60, true)`,
      );
      await stage.channel('db:posts', 3);
      const names = ['order:1', 'order:keep', 'order:as-all', 'order:off', 'chat:1', 'nobody'];
      await stage.messages(
        names.flatMap((channel, at) => [
          message(10 * at + 1, 4, { channel }),
          message(10 * at + 2, 1.5, { channel }),
          message(10 * at + 3, 0.5, { channel }),
        ]),
      );
      await stage.changes([
        { place: 100, at: daysAgo(4), relation: 'posts' },
        { place: 101, at: daysAgo(2), relation: 'posts' },
        { place: 102, at: daysAgo(4), relation: 'others' },
      ]);
      expect(await keeper().keep(NEVER)).toBe('done');
      expect(await listed()).toEqual([2, 3, 11, 12, 13, 22, 23, 33, 41, 42, 43, 51, 52, 53, 101, 102]);
      expect(await total()).toBe(16);
    });

    it('of channels as they come of age, and anew when a channel says another time', async () => {
      const keep = keeper();
      await stage.channel('order:1', 5);
      const soon = 5 - 2 / 86_400;
      await stage.messages([message(1, 6), message(2, 4), message(3, soon)]);
      await keep.keep(NEVER);
      expect(await listed()).toEqual([2, 3]);
      // Written late: its time was looked at already.
      await stage.messages([message(4, 6)]);
      await stage.host.sql(`update realtime.channels set description = 'nothing of retention'`);
      await until(async () => (await keep.keep(NEVER)) === 'done' && !(await listed()).includes(3), { everyMs: 200 });
      expect(await listed()).toEqual([2, 4]);
      await stage.host.sql(`update realtime.channels set retention_days = 3 where pattern = 'order:1'`);
      await keep.keep(NEVER);
      expect(await listed()).toEqual([]);
    });

    it('but not what somebody holds; that goes the next time', async () => {
      const keep = keeper();
      await keep.keep(NEVER);
      await stage.channel('order:1', 5);
      await stage.messages([message(1, 30), message(2, 30), message(3, 6, { channel: 'order:1' })]);
      await session(async (holder) => {
        await holder.query('begin');
        await holder.query(
          `select from realtime.messages where created_at < now() - interval '29 days' order by position limit 1 for update`,
        );
        await holder.query(`select from realtime.messages where created_at > now() - interval '7 days' for update`);
        expect(await keep.keep(NEVER)).toBe('done');
        await holder.query('commit');
      });
      expect(await listed()).toEqual([1, 3]);
      await keep.keep(NEVER);
      expect(await listed()).toEqual([]);
    });

    it('and the ids of publishers after a day', async () => {
      await stage.host.sql(`insert into realtime.message_ids (message_id, content_hash, created_at)
        select gen_random_uuid(), '', now() - make_interval(hours => i) from generate_series(20, 30) i`);
      await keeper().keep(NEVER);
      const [left] = await stage.host.sql(
        `select count(*)::int as count, min(created_at) > now() - interval '24 hours 1 minute' as fresh from realtime.message_ids`,
      );
      expect(left).toEqual({ count: 4, fresh: true });
    });
  });

  it('says what the database refuses, and goes on', async () => {
    const log = collectingLog();
    await stage.host.sql('alter function realtime.missing_partitions(int) rename to mislaid');
    const stop = new AbortController();
    const running = keeper(log).run(stop.signal);
    try {
      await expect.poll(() => log.lines.some(({ level }) => level === 'error')).toBe(true);
    } finally {
      stop.abort();
      await running;
      await stage.host.sql('alter function realtime.mislaid(int) rename to missing_partitions');
    }
    expect(counted.failed).toBe(1);
  });
});
