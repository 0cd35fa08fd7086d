// Owns the reading of a snapshot as the database prints it, `xmin:xmax:xip_list`, and the answer to "does it contain
// this transaction". Pure. https://www.postgresql.org/docs/18/functions-info.html#FUNCTIONS-PG-SNAPSHOT

import { fullXid } from './full-xid.ts';

const SNAPSHOT_TEXT = /^(\d+):(\d+):((?:\d+(?:,\d+)*)?)$/;

export class TransactionSnapshot {
  /** All transactions below have ended. */
  readonly xmin: bigint;
  /** No transaction from here on has ended. */
  readonly xmax: bigint;
  readonly #running: ReadonlySet<bigint>;

  /** Reads the text form of pg_snapshot. Throws on any other text. */
  constructor(text: string) {
    const match = SNAPSHOT_TEXT.exec(text);
    if (match === null) throw new RangeError(`not a snapshot: ${text}`);
    const [, xmin = '', xmax = '', running = ''] = match;
    this.xmin = BigInt(xmin);
    this.xmax = BigInt(xmax);
    this.#running = new Set(running === '' ? [] : running.split(',').map(BigInt));
  }

  /** Whether what the transaction committed is in the snapshot; true as well for one that rolled back. `xid` has 64 bits. */
  contains(xid: bigint): boolean {
    return xid < this.xmin || (xid < this.xmax && !this.#running.has(xid));
  }

  /** The same of the 32 bits that the stream has; for transactions of about the snapshot's time. */
  containsStreamed(xid: number): boolean {
    return this.contains(fullXid(xid, this.xmax));
  }
}
