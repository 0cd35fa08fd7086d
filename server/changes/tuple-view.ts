// Owns the reading of a TupleData section: where each column's text lies, or why there is none. A view is
// scratch space, filled anew for each row, so that reading a row allocates nothing.

import type { Tuple } from '../replication/wal-entry.ts';

const TUPLE_NULL = 0x6e;
const TUPLE_UNCHANGED = 0x75;

/** Postgres allows 1,600 columns a table. */
const MAX_COLUMNS = 1664;

export class TupleView {
  readonly #starts = new Int32Array(MAX_COLUMNS);
  readonly #ends = new Int32Array(MAX_COLUMNS);
  readonly #kinds = new Uint8Array(MAX_COLUMNS);
  bytes: Uint8Array = new Uint8Array(0);
  count = 0;
  /** Whether some column is a large value that the UPDATE did not resend. */
  hasUnchanged = false;

  /** Points the view at `tuple`; null empties it. Returns itself. */
  read(tuple: Tuple | null): this {
    this.count = 0;
    this.hasUnchanged = false;
    if (tuple === null) return this;
    const { bytes, offset } = tuple;
    this.bytes = bytes;
    this.count = ((bytes[offset] as number) << 8) | (bytes[offset + 1] as number);
    let at = offset + 2;
    for (let column = 0; column < this.count; column++) at = this.#readColumn(column, at);
    return this;
  }

  isNull(column: number): boolean {
    return this.#kinds[column] === TUPLE_NULL;
  }

  isUnchanged(column: number): boolean {
    return this.#kinds[column] === TUPLE_UNCHANGED;
  }

  start(column: number): number {
    return this.#starts[column] as number;
  }

  end(column: number): number {
    return this.#ends[column] as number;
  }

  #readColumn(column: number, offset: number): number {
    const { bytes } = this;
    const kind = bytes[offset] as number;
    this.#kinds[column] = kind;
    if (kind === TUPLE_UNCHANGED) this.hasUnchanged = true;
    if (kind === TUPLE_NULL || kind === TUPLE_UNCHANGED) return offset + 1;
    const start = offset + 5;
    const end =
      start +
      (((bytes[offset + 1] as number) << 24) |
        ((bytes[offset + 2] as number) << 16) |
        ((bytes[offset + 3] as number) << 8) |
        (bytes[offset + 4] as number));
    this.#starts[column] = start;
    this.#ends[column] = end;
    return end;
  }
}
