// Owns the first half of a snapshot subscription: the rows that the subscriber may see, of one instant, in chunks that
// wait for the reader. What the rest of the way needs comes back: from which position on, and what the rows contain
// already. A commit is streamed before it is visible, so the instant has to contain everything that was delivered.

import type { Hub } from '../hub/hub.ts';
import type { Subscription } from '../hub/subscription.ts';
import { must } from '../lib/assert.ts';
import type { Logger } from '../lib/logger.ts';
import { endOfTransaction, epochOf, type Lsn } from '../lib/position.ts';
import type { OpenSnapshot } from '../messages/snapshot-cursor.ts';
import type { SnapshotReader, SnapshotStatement } from '../messages/snapshot-reader.ts';
import { encodeSnapshotFrame } from '../protocol/snapshot-frame.ts';
import { LOW_BYTES, type ReplayStart } from './replay.ts';
import type { ReplayTurns } from './replay-turns.ts';
import type { StreamProgress } from './stream-progress.ts';

export type SnapshotFeedDeps = {
  readonly hub: Hub;
  /** Of those who hold a connection of the database while they send. */
  readonly snapshotTurns: ReplayTurns;
  readonly reader: Pick<SnapshotReader, 'open'>;
  /** What is read for a subscription; undefined where its role may read nothing. */
  readonly plan: (subscription: Subscription) => Promise<SnapshotStatement | undefined>;
  readonly progress: Pick<StreamProgress, 'delivered' | 'unseen'>;
  /** The end of the WAL. */
  readonly readWalEnd: () => Promise<Lsn>;
  readonly counters: { snapshot(rows: number): void };
  readonly log: Logger;
};

export type SnapshotEnd =
  /** All rows are sent. */
  | { readonly kind: 'sent'; readonly start: ReplayStart }
  /** The subscription has ended meanwhile. */
  | { readonly kind: 'over' }
  /** `cause`: what the database failed with in the middle, after rows were sent. */
  | { readonly kind: 'failed'; readonly message: string; readonly cause?: unknown };

/** Sends the snapshot of `subscription`. Rejects when the database cannot be asked; then nothing must have been sent for it to be tried again. */
export async function feedSnapshot(
  deps: SnapshotFeedDeps,
  subscription: Subscription,
  signal: AbortSignal,
): Promise<SnapshotEnd> {
  const release = await deps.snapshotTurns.take(subscription.connection.id, signal);
  if (release === undefined) return { kind: 'over' };
  try {
    const statement = await deps.plan(subscription);
    if (statement === undefined) return { kind: 'failed', message: 'The table may not be read' };
    const after = must(deps.progress.delivered.position, 'the delivered position');
    const opening = await deps.reader.open(statement, deps.progress.unseen.xids, signal);
    if (!opening.ok) return { kind: 'failed', message: opening.message };
    const { snapshot } = opening;
    const containedTo = endOfTransaction(epochOf(after), await deps.readWalEnd());
    const start = { after, contained: snapshot.contains, containedTo };
    return await sendRows(deps, subscription, statement, snapshot, signal, start);
  } finally {
    release();
  }
}

async function sendRows(
  { hub, counters, log }: SnapshotFeedDeps,
  subscription: Subscription,
  { key }: SnapshotStatement,
  snapshot: OpenSnapshot,
  signal: AbortSignal,
  start: ReplayStart,
): Promise<SnapshotEnd> {
  const { id: subscriptionId, connection, group } = subscription;
  const about = { channel: group.spec.channelName, subscriptionId, key };
  try {
    for (;;) {
      const chunk = await snapshot.next();
      await connection.outbox.whenBelow(LOW_BYTES);
      if (signal.aborted || !connection.subscriptions.has(subscriptionId)) return { kind: 'over' };
      const { rows, truncated } = chunk ?? NO_ROWS;
      hub.send(connection, encodeSnapshotFrame({ ...about, rows, truncated, done: chunk === undefined }));
      if (chunk === undefined) return { kind: 'sent', start };
      counters.snapshot(chunk.count);
    }
  } catch (err) {
    // What a policy raised may speak of rows that are hidden: it is for the log.
    log.warn({ err, subscriptionId }, 'a snapshot broke off');
    return { kind: 'failed', message: 'The snapshot could not be read to its end', cause: err };
  } finally {
    await snapshot.close();
  }
}

const NO_ROWS = { rows: new TextEncoder().encode('[]'), truncated: [] };
