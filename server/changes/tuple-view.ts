// Owns the reading of a TupleData section: where each column's text lies, or why there is none. A view is
// scratch space, filled anew for each row, so that reading a row allocates nothing.

import type { Tuple } from '../replication/wal-entry.ts';

const TUPLE_NULL = 0x6e;
const TUPLE_TEXT = 0x74;
const TUPLE_UNCHANGED = 0x75;

/** What a row of Postgres has at most; the decoder lets nothing larger through. */
const MAX_COLUMNS = 1664;

export class TupleView {
  readonly #starts = new Int32Array(MAX_COLUMNS);
  readonly #ends = new Int32Array(MAX_COLUMNS);
  readonly #kinds = new Uint8Array(MAX_COLUMNS);
  bytes: Uint8Array = new Uint8Array(0);
  count = 0;
  /** Whether some column is a large value that the UPDATE did not resend. */
  hasUnchanged = false;

  /** Points the view at `tuple`; null empties it. Returns itself. Throws RangeError where columns lie outside. */
  read(tuple: Tuple | null): this {
    this.count = 0;
    this.hasUnchanged = false;
    if (tuple === null) return this;
    const { bytes, offset, end } = tuple;
    const count = ((bytes[offset] as number) << 8) | (bytes[offset + 1] as number);
    this.bytes = bytes;
    let at = offset + 2;
    for (let column = 0; column < count; column++) at = this.#readColumn(column, at, end);
    if (at !== end) throw new RangeError(`a tuple ends at ${at}, its message at ${end}`);
    this.count = count;
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

  /** Bytes of the column's text; 0 where it has none. */
  textBytes(column: number): number {
    return this.isNull(column) || this.isUnchanged(column) ? 0 : this.end(column) - this.start(column);
  }

  #readColumn(column: number, offset: number, limit: number): number {
    if (offset >= limit) throw new RangeError(`a tuple without its column ${column}`);
    const { bytes } = this;
    const kind = bytes[offset] as number;
    this.#kinds[column] = kind;
    if (kind === TUPLE_UNCHANGED) this.hasUnchanged = true;
    if (kind === TUPLE_NULL || kind === TUPLE_UNCHANGED) return offset + 1;
    const start = offset + 5;
    if (kind !== TUPLE_TEXT || start > limit) throw new RangeError(`a tuple with a broken column ${column}`);
    const length =
      ((bytes[offset + 1] as number) << 24) |
      ((bytes[offset + 2] as number) << 16) |
      ((bytes[offset + 3] as number) << 8) |
      (bytes[offset + 4] as number);
    // Read as signed: Postgres sends no value of 2 GB.
    if (length < 0 || length > limit - start) throw new RangeError(`a tuple with a too long column ${column}`);
    this.#starts[column] = start;
    this.#ends[column] = start + length;
    return start + length;
  }
}
