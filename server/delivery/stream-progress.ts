// Owns how far the stream has come: what was delivered, what history holds, and which transactions may not be visible to
// everybody yet. One object for the life of the process, across all runs of the pipeline; replays and snapshots go by it.

import { type Epoch, endOfTransaction, type Lsn } from '../lib/position.ts';
import { PositionMark } from './position-mark.ts';
import { UnseenTransactions } from './unseen-transactions.ts';

export class StreamProgress {
  /** Everything at or below has been fanned out; everything above will be. */
  readonly delivered = new PositionMark();
  /** Everything at or below is in history. */
  readonly journaled = new PositionMark();
  readonly unseen = new UnseenTransactions();
  /** Of the cluster that streams, or streamed last; what the ids of its changes are masked with. */
  systemIdentifier: string | undefined = undefined;

  /** All WAL below `walEnd` was read, delivered and journaled: commits to come lie at or above it. */
  reachIdle(epoch: Epoch, walEnd: Lsn): void {
    if (walEnd === 0n) return;
    const position = endOfTransaction(epoch, (walEnd - 1n) as Lsn);
    this.delivered.reach(position);
    this.journaled.reach(position);
  }
}
