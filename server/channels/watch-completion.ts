// Owns the moment from which watching a table is complete. Rows that a transaction wrote before the table
// was published never come, although it commits later (traps of Postgres, rule 4): so nobody is told
// `subscribed` before all transactions of that time have ended.

import type { Pool } from 'pg';
import { pause } from '../lib/backoff.ts';
import { completeFromOf } from './channel-sql.ts';

export type WatchCompletionOptions = {
  readonly pool: Pool;
  /** The longest that one call waits. */
  readonly timeoutMs: number;
  /** Whether everything at or below a position has been delivered. */
  readonly hasReached: (position: string) => boolean;
  readonly signal: AbortSignal;
};

const LOOK_MS = 25;

/**
 * Remembers a horizon at the first look, which happens after the publication's commit; tells whether it has passed. Then
 * the rows that never come lie below the end of the WAL: nobody may resume from there.
 */
const LOOK = `
  with noted as (
    update realtime.watched set complete_after = pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())
    where relid = $1 and complete_after is null and not completed
  ), done as (
    update realtime.watched as w set completed = true
    where w.relid = $1 and not w.completed
      and pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()) >= w.complete_after
    returning w.relation)
  select realtime.raise_floors('changes', 'not_watched', array[d.relation], array[realtime.current_position()]) from done as d`;

const COMPLETED = `
  select w.completed, ${completeFromOf('w.relation')} as complete_from from realtime.watched as w where w.relid = $1`;

export class WatchCompletion {
  readonly #options: WatchCompletionOptions;

  constructor(options: WatchCompletionOptions) {
    this.#options = options;
  }

  /** Waits until watching the table `oid` is complete and delivered from there on; false when it takes too long. */
  async wait(oid: number): Promise<boolean> {
    const { timeoutMs, signal } = this.#options;
    const deadline = performance.now() + timeoutMs;
    while (!signal.aborted) {
      if (await this.#look(oid)) return true;
      if (performance.now() > deadline) return false;
      await pause(LOOK_MS, signal);
    }
    return false;
  }

  /** One look at every table that is not complete yet. */
  async lookAtAll(): Promise<void> {
    const { rows } = await this.#options.pool.query<{ relid: number }>(
      'select relid from realtime.watched where not completed',
    );
    for (const { relid } of rows) await this.#look(relid);
  }

  async #look(oid: number): Promise<boolean> {
    const { pool, hasReached } = this.#options;
    await pool.query(LOOK, [oid]);
    const { rows } = await pool.query<{ completed: boolean; complete_from: string | null }>(COMPLETED, [oid]);
    const [row] = rows;
    if (row?.completed !== true) return false;
    return row.complete_from === null || hasReached(row.complete_from);
  }
}
