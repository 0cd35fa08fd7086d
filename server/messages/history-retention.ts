// Owns what retention takes out of history row by row: old rows of the default partition, rows of channels that are kept
// shorter than the rest, the ids of publishers after a day, and counts that have become nothing.

import type { ClientBase } from 'pg';
import { must } from '../lib/assert.ts';
import { pause } from '../lib/backoff.ts';
import { HISTORY_SOURCES, removeOnce } from './history-removal.ts';
import type { HistorySource } from './history-scope.ts';

/** Blocks of the default partition that are looked at in one transaction. */
const STRETCH_BLOCKS = 128;
const IDS_AT_ONCE = 5_000;
const PAUSE_MS = 2;
/** After this time all rows are looked at again, whatever was looked at before. */
const SWEEP_AGAIN_MS = 24 * 60 * 60 * 1000;

const BLOCKS = `
  select pg_catalog.pg_relation_size($1::regclass) / current_setting('block_size')::int as blocks`;

/** Deletes rows before `cutoffDay` from the default partitions, also those that never got a position. */
export async function clearDefaults(client: ClientBase, cutoffDay: string, signal: AbortSignal): Promise<number> {
  let total = 0;
  for (const source of HISTORY_SOURCES) total += await clearDefault(client, source, cutoffDay, signal);
  return total;
}

async function clearDefault(client: ClientBase, source: HistorySource, cutoffDay: string, signal: AbortSignal) {
  const { rows } = await client.query<{ blocks: bigint }>(BLOCKS, [`realtime.${source}_default`]);
  const blocks = Number(must(rows[0], 'the size of the default partition').blocks);
  let total = 0;
  for (let first = 0; first < blocks && !signal.aborted; first += STRETCH_BLOCKS) {
    const removed = await client.query<{ removed: bigint }>(
      'select realtime.remove_default_rows($1, $2, $3, $4) as removed',
      [source, `${cutoffDay} 00:00+00`, first, first + STRETCH_BLOCKS],
    );
    total += Number(removed.rows[0]?.removed ?? 0);
    await pause(PAUSE_MS, signal);
  }
  return total;
}

/** Deletes the ids that publishers chose more than a day ago. */
export async function forgetIds(client: ClientBase, signal: AbortSignal): Promise<number> {
  let total = 0;
  for (let count = IDS_AT_ONCE; count === IDS_AT_ONCE && !signal.aborted; total += count) {
    const { rowCount } = await client.query(
      `delete from realtime.message_ids as m where m.message_id in (
         select o.message_id from realtime.message_ids as o where o.created_at < now() - interval '24 hours'
         order by o.created_at limit $1 for update skip locked)`,
      [IDS_AT_ONCE],
    );
    count = rowCount ?? 0;
  }
  return total;
}

/** Drops the counts of what was removed altogether. */
export async function settleCounts(client: ClientBase): Promise<void> {
  await client.query('select realtime.settle_counts()');
}

type ShortLives = { days: number[]; rules: string; now: string };

// Rows that say nothing of days decide nothing: what they leave open is inherited.
const SHORT_LIVES = `
  select coalesce(array_agg(distinct c.retention_days order by c.retention_days)
      filter (where $1::int is null or c.retention_days < $1), '{}') as days,
    md5(coalesce(string_agg(concat_ws(' ', c.id, c.pattern, c.retention_days, c.enabled, c.created_at), e'\\n' order by c.id), '')) as rules,
    now()::text as now
  from realtime.channels as c where c.retention_days is not null`;
const SPAN = `
  select ($2::timestamptz - make_interval(days => $3))::text as until,
    (select r.last_position from realtime.position_range($1, $4, $2::timestamptz - make_interval(days => $3), null, null) as r) as last`;

export class ChannelRetention {
  readonly #now: () => number;
  /** Days to the time up to which everything was looked at for them, as long as the rules stay. */
  #seenUntil = new Map<number, string>();
  #rules = '';
  #sweptAt = Number.NEGATIVE_INFINITY;

  /** `now` in milliseconds of a monotonic clock. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /**
   * Deletes what channels keep shorter than `globalDays` (null = for ever). Each row is looked at once it reaches an age
   * that some channel names, and all again when the rules changed, and once a day.
   */
  async clear(client: ClientBase, globalDays: number | null, signal: AbortSignal): Promise<number> {
    const { rows } = await client.query<ShortLives>(SHORT_LIVES, [globalDays]);
    const { days, rules, now } = must(rows[0], 'the channels that are kept shorter');
    if (rules !== this.#rules || this.#now() - this.#sweptAt > SWEEP_AGAIN_MS) this.#forget(rules);
    let total = 0;
    for (const each of days) total += await this.#clearOlderThan(client, each, now, signal);
    return total;
  }

  async #clearOlderThan(client: ClientBase, days: number, now: string, signal: AbortSignal): Promise<number> {
    const since = this.#seenUntil.get(days) ?? null;
    let total = { due: 0, removed: 0 };
    let end = since;
    for (const source of HISTORY_SOURCES) {
      const { rows } = await client.query<{ until: string; last: string | null }>(SPAN, [source, now, days, since]);
      const { until, last } = must(rows[0], 'the span that is due');
      end = until;
      if (last === null) continue;
      const { due, removed } = await removeOnce(client, { source, since, until, last, days }, signal);
      total = { due: total.due + due, removed: total.removed + removed };
    }
    // What somebody held is looked at again.
    if (end !== null && total.due === total.removed && !signal.aborted) this.#seenUntil.set(days, end);
    return total.removed;
  }

  #forget(rules: string): void {
    this.#rules = rules;
    this.#seenUntil = new Map();
    this.#sweptAt = this.#now();
  }
}
