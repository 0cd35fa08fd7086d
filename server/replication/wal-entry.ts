// Owns the vocabulary of a decoded stream: transactions, and what happened in them, in the order of the WAL.
// Rows are not unpacked here: a tuple is a place in the received bytes, read by whoever needs its values.

import type { Epoch, Lsn } from '../lib/position.ts';
import type { Relation } from './relation.ts';

export type Transaction = {
  readonly epoch: Epoch;
  /** LSN of the commit record: known from Begin, orders all transactions. */
  readonly lsn: Lsn;
  /** Low 32 bits of the top-level transaction id. */
  readonly xid: number;
  /** Microseconds since 2000-01-01 UTC, as the server counts. */
  readonly commitMicros: bigint;
};

/** A TupleData section (protocol-logicalrep-message-formats): `bytes[offset, end)`, from its column count on. */
export type Tuple = { readonly bytes: Uint8Array; readonly offset: number; readonly end: number };

export type RowOperation = 'INSERT' | 'UPDATE' | 'DELETE';

export type RowEntry = {
  readonly kind: 'row';
  readonly transaction: Transaction;
  readonly index: number;
  readonly relation: Relation;
  readonly operation: RowOperation;
  /** Absent for DELETE. */
  readonly newTuple: Tuple | null;
  /** The whole old row under FULL, else the key, and only where it changed or the row is gone. */
  readonly oldTuple: Tuple | null;
};

export type TruncateEntry = {
  readonly kind: 'truncate';
  readonly transaction: Transaction;
  /** Of the first relation; the others follow one by one, so that each has a position of its own. */
  readonly index: number;
  readonly relations: readonly Relation[];
};

/** A finished transaction; `endLsn` is what may be acknowledged once everything of it is journaled. */
export type CommitEntry = { readonly kind: 'commit'; readonly transaction: Transaction; readonly endLsn: Lsn };

export type WalEntry = RowEntry | TruncateEntry | CommitEntry;

/** What one turn of reading gave, in order. Transactions may begin and end in different batches. */
export type WalBatch = {
  readonly entries: readonly WalEntry[];
  /** Bytes received for it: what bounds are counted in. */
  readonly bytes: number;
};
