// Owns the noun that travels from the WAL to subscribers and history: one change with its position, its id
// and its encoded payload. It is immutable and shared; nobody writes into its bytes.

import type { Position } from '../lib/position.ts';
import type { CanonicalChannel } from '../protocol/channel-name.ts';
import type { RowEvent } from '../protocol/client-frame.ts';
import type { Relation } from '../replication/relation.ts';
import type { CommitEntry, RowEntry, Transaction } from '../replication/wal-entry.ts';
import type { PublishedMessage } from './published-message.ts';
import type { RowEncoder } from './row-encoder.ts';

export type ChangeMessage = {
  readonly kind: 'change';
  readonly channel: CanonicalChannel;
  readonly relation: Relation;
  readonly event: RowEvent;
  readonly transaction: Transaction;
  readonly position: Position;
  readonly messageId: string;
  /** Commit time, RFC 3339 in UTC. */
  readonly timestamp: string;
  /** The payload with every column; cut to the key where the row is too large for a message. */
  readonly payload: Uint8Array;
  /** Texts that the payload does not give back exactly; see `RowEncoder.images`. */
  readonly oldImage: Uint8Array | null;
  readonly newImage: Uint8Array | null;
  /** The row as it came, for whoever judges it or sends part of it; null for TRUNCATE. Holds on to received bytes. */
  readonly row: { readonly entry: RowEntry; readonly encoder: RowEncoder } | null;
};

/** What history keeps of a change: not the bytes it came in. */
export type KeptChange = Omit<ChangeMessage, 'row'>;

/** Whatever comes through the WAL. */
export type Message = ChangeMessage | PublishedMessage;

/** What a batch of the WAL became: its messages in order, and the last transaction that ended in it. */
export type TranslatedBatch = {
  readonly messages: readonly Message[];
  readonly commit: CommitEntry | undefined;
};
