// Owns the deletion of history in small steps, each its own transaction: nobody waits for it for long, and it waits for
// nobody. What is deleted is counted by triggers (sql/functions/count_removed.sql).

import type { ClientBase, Pool } from 'pg';
import { must } from '../lib/assert.ts';
import { pause } from '../lib/backoff.ts';
import type { HistoryBound } from './history-bound.ts';
import type { HistorySource } from './history-scope.ts';

export const HISTORY_SOURCES: readonly HistorySource[] = ['messages', 'changes'];

/** What is to go. Times as text of PostgreSQL; a bound that is null is none. */
export type Removal = {
  readonly source: HistorySource;
  readonly since: string | null;
  readonly until: string | null;
  /** The last position to look at. */
  readonly last: string;
  /** Only what belongs to channels that are kept no longer than so many days. */
  readonly days: number | null;
};

export type Removed = { readonly due: number; readonly removed: number };

type Slice = { due: bigint; removed: bigint; at_position: string | null };

const SLICE_ROWS = 2_000;
/** Where most of what is looked at stays. */
const SEARCHED_ROWS = 5_000;
/** Lets others in between. */
const PAUSE_MS = 2;
/** What was locked the first time is tried again. */
const ROUNDS = 20;
const ROUND_PAUSE_MS = 250;

const REMOVE = 'select due, removed, at_position from realtime.remove_slice($1, $2, $3, $4, $5, $6, $7)';
const LAST_BY_TIME = 'select last_position as last from realtime.position_range($1, null, $2, null, null)';

/** What is gone, and whether that is all of it. */
export type HistoryRemoval = { readonly deleted: number; readonly isComplete: boolean };

/**
 * Deletes what has its time or its position before `bound`, of messages and changes; ends early when `signal` is aborted,
 * or where somebody holds a row for long. Rejects when the database cannot be asked; what went until then is gone.
 */
export async function removeBefore(pool: Pool, bound: HistoryBound, signal: AbortSignal): Promise<HistoryRemoval> {
  const removals = await removalsOf(pool, bound);
  let deleted = 0;
  for (let round = 0; round < ROUNDS && !signal.aborted; round++) {
    if (round > 0) await pause(ROUND_PAUSE_MS, signal);
    let held = 0;
    for (const removal of removals) {
      const { due, removed } = await removeOnce(pool, removal, signal);
      deleted += removed;
      held += due - removed;
    }
    if (held === 0) return { deleted, isComplete: !signal.aborted };
  }
  return { deleted, isComplete: false };
}

// What is written meanwhile lies behind the last position, so it comes to an end.
async function removalsOf(pool: Pool, bound: HistoryBound): Promise<Removal[]> {
  const until = bound.kind === 'time' ? bound.at : null;
  const removals: Removal[] = [];
  for (const source of HISTORY_SOURCES) {
    const last = await lastBefore(pool, source, bound);
    if (last !== null) removals.push({ source, since: null, until, last, days: null });
  }
  return removals;
}

/** One walk along the positions. What somebody holds was due and is not removed. */
export async function removeOnce(client: Pool | ClientBase, removal: Removal, signal: AbortSignal): Promise<Removed> {
  const { source, since, until, last, days } = removal;
  let total = { due: 0, removed: 0 };
  for (let at: string | null = ''; at !== null && !signal.aborted; ) {
    const values = [source, since, until, at, last, days, days === null ? SLICE_ROWS : SEARCHED_ROWS];
    const removed: { rows: Slice[] } = await client.query<Slice>(REMOVE, values);
    const slice: Slice = must(removed.rows[0], 'what a slice removed');
    total = { due: total.due + Number(slice.due), removed: total.removed + Number(slice.removed) };
    at = slice.at_position;
    await pause(PAUSE_MS, signal);
  }
  return total;
}

async function lastBefore(pool: Pool, source: HistorySource, bound: HistoryBound): Promise<string | null> {
  const { rows } =
    bound.kind === 'time'
      ? await pool.query<{ last: string | null }>(LAST_BY_TIME, [source, bound.at])
      : await pool.query<{ last: string | null }>(
          `select max(r.position) as last from realtime.${source} as r where r.position < $1`,
          [bound.position],
        );
  return rows[0]?.last ?? null;
}
