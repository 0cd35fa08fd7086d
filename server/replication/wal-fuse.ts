// Owns the decision about WAL that the slot holds back: from half of what is allowed on live work is shed, above
// all of it the slot is given up. Pure: figures in, verdict out.

export type HeldWal = {
  /** Between the end of WAL and what was confirmed: what we have not handled yet. */
  readonly lagBytes: number;
  /** Between the end of WAL and where the slot would read again: what the database keeps for us. */
  readonly retainedBytes: number;
  /** max_slot_wal_keep_size; null where it is unlimited. */
  readonly databaseLimitBytes: number | null;
};

/** `hold`: as it is, whichever that is. */
export type FuseVerdict = 'deliver' | 'hold' | 'shed' | 'blow';

const SHED_ABOVE = 0.5;
const DELIVER_BELOW = 0.4;
/** WAL is kept by whole segments, so that no smaller limit means anything. */
const SMALLEST_LIMIT_BYTES = 16 * 1024 * 1024;

/**
 * The database moves the place to read again from only now and then (every 15 s, and at checkpoints): what is held
 * back beyond what we lack may be gone in a moment, unless an old transaction keeps it.
 */
const PATIENCE_MS = 60_000;

/** What the slot may hold back: our own bound, or the database's where that is lower. */
export function allowedBytes(maxRetainedBytes: number, { databaseLimitBytes }: HeldWal): number {
  return Math.max(Math.min(maxRetainedBytes, databaseLimitBytes ?? maxRetainedBytes), SMALLEST_LIMIT_BYTES);
}

/** What `held` means for a slot that may hold back `allowed` bytes, and has held back more for `overMs` already. */
export function judgeHeldWal(held: HeldWal, allowed: number, overMs: number): FuseVerdict {
  const isBehind = held.lagBytes > allowed * SHED_ABOVE;
  if (held.retainedBytes > allowed && (isBehind || overMs >= PATIENCE_MS)) return 'blow';
  if (isBehind) return 'shed';
  return held.lagBytes < allowed * DELIVER_BELOW ? 'deliver' : 'hold';
}
