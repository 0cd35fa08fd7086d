// Owns the other noun that travels from the WAL: a message that somebody published, as the row of
// realtime.messages has it. It is immutable and shared; nobody writes into its bytes.

import type { Position } from '../lib/position.ts';
import type { CanonicalChannel } from '../protocol/channel-name.ts';
import type { Transaction } from '../replication/wal-entry.ts';

export type PublishedMessage = {
  readonly kind: 'published';
  readonly channel: CanonicalChannel;
  readonly event: string;
  readonly transaction: Transaction;
  readonly position: Position;
  readonly messageId: string;
  /** The row's created_at, RFC 3339 in UTC. */
  readonly timestamp: string;
  /** JSON, as jsonb prints it. */
  readonly payload: Uint8Array;
  readonly senderId: string | null;
  /** The socket that published it; null for SQL and REST. */
  readonly connectionId: string | null;
};

/** What the journal keeps of it: the row is in the database already. */
export type KeptPublication = Omit<PublishedMessage, 'payload' | 'senderId' | 'connectionId'>;
