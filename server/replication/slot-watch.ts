// Owns the look at what the slot holds back: WAL that the database cannot remove. It reports the figure and
// warns once when half of what is allowed is reached; dropping the slot is nobody's decision here.

import type { Pool } from 'pg';
import type { Logger } from '../lib/logger.ts';

export type SlotWatchOptions = {
  readonly pool: Pool;
  readonly slot: string;
  /** What the slot may hold back; lower where the database says so itself. */
  readonly maxRetainedBytes: number;
  readonly onRetained: (bytes: number) => void;
  readonly log: Logger;
};

/** `allowed` is null where max_slot_wal_keep_size is unlimited. */
type Row = { retained: string | null; allowed: string | null };

const RETAINED = `
  select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::text as retained,
    (select nullif(k.setting::bigint, -1) * 1048576 from pg_catalog.pg_settings as k
     where k.name = 'max_slot_wal_keep_size')::text as allowed
  from pg_catalog.pg_replication_slots as s where s.slot_name = $1`;

export class SlotWatch {
  readonly #options: SlotWatchOptions;
  #isOverHalf = false;

  constructor(options: SlotWatchOptions) {
    this.#options = options;
  }

  /** One look. Rejects when the database cannot be asked. */
  async look(): Promise<void> {
    const { pool, slot, maxRetainedBytes, onRetained, log } = this.#options;
    const row = (await pool.query<Row>(RETAINED, [slot])).rows[0];
    if (row === undefined || row.retained === null) return;
    const retainedBytes = Number(row.retained);
    const allowedBytes = Math.min(maxRetainedBytes, row.allowed === null ? maxRetainedBytes : Number(row.allowed));
    onRetained(retainedBytes);
    const isOverHalf = retainedBytes > allowedBytes / 2;
    if (isOverHalf && !this.#isOverHalf) {
      log.warn({ slot, retainedBytes, allowedBytes }, 'the slot holds back more than half of the WAL it may');
    }
    this.#isOverHalf = isOverHalf;
  }
}
