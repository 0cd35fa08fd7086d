// Owns the form in which history gives back a row change: the texts of its columns in realtime.changes.

import type { RowEvent } from '../protocol/client-frame.ts';

export type StoredChange = {
  readonly position: string;
  readonly op: RowEvent;
  /** The committing transaction, 64 bits; null in history from before it was kept. */
  readonly xid: bigint | null;
  /** Microseconds since 2000-01-01 UTC, as in the stream. */
  readonly commitMicros: bigint;
  /** Texts of jsonb. The payload as it was for whoever may see everything. */
  readonly payload: string;
  /** Column name to exact text, of the columns that `payload` does not give back. */
  readonly oldImage: string | null;
  readonly newImage: string | null;
};
