// Owns which transactions were delivered although not everybody can see them yet: a commit is streamed before it is
// visible (traps of Postgres, rule 2). A snapshot for a subscriber has to contain them all. What each snapshot of
// the journal contains is taken out, so only the latest are here.

import type { TransactionSnapshot } from '../lib/transaction-snapshot.ts';

export class UnseenTransactions {
  readonly #xids = new Set<number>();
  #last: number | undefined;

  /** The low 32 bits of those that may not be visible yet. */
  get xids(): readonly number[] {
    return [...this.#xids];
  }

  /** Something of the transaction was delivered. */
  add(xid: number): void {
    if (xid === this.#last) return;
    this.#last = xid;
    this.#xids.add(xid);
  }

  /** Everything in `snapshot` is seen by every later one. */
  forget(snapshot: TransactionSnapshot): void {
    for (const xid of this.#xids) if (snapshot.containsStreamed(xid)) this.#xids.delete(xid);
    // It may come again: a large transaction is delivered in many batches.
    this.#last = undefined;
  }
}
