// Owns the house-keeping of history: partitions for the days to come, and the end of what is older than it is to be kept.
// Runs at the start and every hour, sooner where something had to wait. Of several servers one does it at a time. The app
// never depends on it: without partitions, rows go to the default one.

import type { ClientBase, Pool } from 'pg';
import { classifyDatabaseError, isTransient } from '../db/sqlstate.ts';
import { must } from '../lib/assert.ts';
import { Backoff, pause } from '../lib/backoff.ts';
import type { Logger } from '../lib/logger.ts';
import type { Service } from '../lib/service.ts';
import { dropPartitions, makePartitions } from './history-partitions.ts';
import { ChannelRetention, clearDefaults, forgetIds, settleCounts } from './history-retention.ts';

export type HistoryKeeperOptions = {
  /** Of the server's own login, which owns the tables. */
  readonly pool: Pool;
  readonly counters: HistoryCounters;
  readonly log: Logger;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
};

export type HistoryCounters = {
  readonly made: (partitions: number) => void;
  readonly dropped: (partitions: number) => void;
  /** With their partition, or by themselves. */
  readonly removed: (rows: number) => void;
  /** Tables that were in somebody's hands. */
  readonly failed: (tables: number) => void;
  readonly seen: (state: HistoryState) => void;
};

export type HistoryState = {
  /** Unix seconds of the oldest day that has a partition; null if there is none. */
  readonly oldestDaySeconds: number | null;
  /** Days in a row, from today on, that have their partitions. */
  readonly daysReady: number;
  readonly defaultBytes: number;
};

export type KeepResult = 'done' | 'has_to_wait' | 'done_elsewhere';

const INTERVAL_MS = 60 * 60 * 1000;
const RETRY = { initialMs: 60_000, maxMs: INTERVAL_MS };
const LOCK = `pg_catalog.hashtextextended('rowcast history', 0)`;

type Cutoff = { days: number | null; day: string | null };

const CUTOFF = `
  select s.retention_days as days,
    ((now() - make_interval(days => least(s.retention_days, 36500))) at time zone 'UTC')::date::text as day
  from realtime.settings as s`;

const STATE = `
  select (select extract(epoch from min(p.day))::float8 from realtime.partitions() as p) as oldest,
    (select count(*)::int from (
      select bool_and(exists (select from realtime.partitions() as p where p.day = d.at::date and p.parent = r.parent))
        over (order by d.at, r.parent) as is_ready
      from generate_series((now() at time zone 'UTC')::date, (now() at time zone 'UTC')::date + 30, interval '1 day') as d (at),
        (values ('messages'), ('changes')) as r (parent)) as a where a.is_ready) as ready,
    (pg_catalog.pg_total_relation_size('realtime.messages_default') + pg_catalog.pg_total_relation_size('realtime.changes_default'))::float8
      as bytes`;

export class HistoryKeeper implements Service {
  readonly name = 'history-keeper';
  readonly #options: HistoryKeeperOptions;
  readonly #channels: ChannelRetention;

  constructor(options: HistoryKeeperOptions) {
    this.#options = options;
    this.#channels = new ChannelRetention(options.now);
  }

  async run(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff(RETRY);
    while (!signal.aborted) {
      const result = await this.#keepOrSay(signal);
      if (result !== 'has_to_wait') backoff.reset();
      await pause(result === 'has_to_wait' ? backoff.next() : INTERVAL_MS, signal);
    }
  }

  // What the database refuses it will refuse again: said, and left for the next time. A lost connection ends the run.
  async #keepOrSay(signal: AbortSignal): Promise<KeepResult> {
    const { counters, log } = this.#options;
    try {
      return await this.keep(signal);
    } catch (error) {
      const { kind, sqlstate, message } = classifyDatabaseError(error);
      if (sqlstate === undefined || isTransient(kind)) throw error;
      log.error({ sqlstate, reason: message }, 'the house-keeping of history failed');
      counters.failed(1);
      return 'has_to_wait';
    }
  }

  /** Does once all that is due. Rejects when the database cannot be asked. */
  async keep(signal: AbortSignal): Promise<KeepResult> {
    const client = await this.#options.pool.connect();
    let isWhole = false;
    try {
      const { rows } = await client.query<{ mine: boolean }>(`select pg_catalog.pg_try_advisory_lock(${LOCK}) as mine`);
      if (rows[0]?.mine !== true) {
        isWhole = true;
        return 'done_elsewhere';
      }
      const waiting = await this.#keepLocked(client, signal);
      await client.query(`select pg_catalog.pg_advisory_unlock(${LOCK})`);
      isWhole = true;
      return waiting === 0 ? 'done' : 'has_to_wait';
    } finally {
      // A connection that failed takes the lock with it.
      client.release(!isWhole);
    }
  }

  async #keepLocked(client: ClientBase, signal: AbortSignal): Promise<number> {
    const { counters, log } = this.#options;
    const options = { client, signal, log };
    const made = await makePartitions(options);
    counters.made(made.changed);
    const waiting = made.waiting + (await this.#expire(options));
    counters.failed(waiting);
    counters.seen(await readState(client));
    return waiting;
  }

  async #expire(options: { client: ClientBase; signal: AbortSignal; log: Logger }): Promise<number> {
    const { client, signal, log } = options;
    const { counters } = this.#options;
    const { rows } = await client.query<Cutoff>(CUTOFF);
    const { days, day } = must(rows[0], 'the row of settings');
    let waiting = 0;
    let removed = 0;
    if (day !== null) {
      const dropped = await dropPartitions(options, day);
      counters.dropped(dropped.changed);
      counters.removed(dropped.rows);
      waiting = dropped.waiting;
      removed = await clearDefaults(client, day, signal);
    }
    removed += await this.#channels.clear(client, days, signal);
    counters.removed(removed);
    const ids = await forgetIds(client, signal);
    await settleCounts(client);
    if (removed + ids > 0) log.info({ rows: removed, ids }, 'old history was removed');
    return waiting;
  }
}

async function readState(client: ClientBase): Promise<HistoryState> {
  const { rows } = await client.query<{ oldest: number | null; ready: number; bytes: number }>(STATE);
  const { oldest, ready, bytes } = must(rows[0], 'the state of the partitions');
  // Both tables have one a day.
  return { oldestDaySeconds: oldest, daysReady: Math.floor(ready / 2), defaultBytes: bytes };
}
