// Owns the rows of a snapshot as JSON, written from the texts that PostgreSQL prints by the same encoder as messages: the
// same value has the same bytes in both. Rows gather in chunks; a row too large for a message is there with its key alone.

import { ByteWriter } from '../protocol/byte-writer.ts';
import { writeValue } from '../protocol/value-encoder.ts';
import type { ValueType } from '../protocol/value-type.ts';

export type SnapshotChunk = {
  /** A JSON array. */
  readonly rows: Uint8Array;
  readonly count: number;
  /** Places of rows that were too large: only their key is there. */
  readonly truncated: readonly number[];
};

export type SnapshotColumn = { readonly name: string; readonly type: ValueType };

export type SnapshotRowsOptions = {
  readonly columns: readonly SnapshotColumn[];
  /** Names of the columns that name a row. */
  readonly key: readonly string[];
  readonly chunkBytes: number;
  readonly maxRowBytes: number;
};

const COMMA = 0x2c;
const OPEN_BRACKET = 0x5b;
const encoder = new TextEncoder();

type Column = { readonly label: Uint8Array; readonly type: ValueType; readonly isKey: boolean };

export class SnapshotRows {
  readonly #columns: readonly Column[];
  readonly #options: SnapshotRowsOptions;
  readonly #text = new ByteWriter(1024);
  readonly #full: SnapshotChunk[] = [];
  #out: ByteWriter;
  #count = 0;
  #truncated: number[] = [];

  constructor(options: SnapshotRowsOptions) {
    this.#options = options;
    this.#out = new ByteWriter(options.chunkBytes / 4);
    this.#columns = options.columns.map(({ name, type }) => ({
      label: encoder.encode(`${JSON.stringify(name)}:`),
      type,
      isKey: options.key.includes(name),
    }));
  }

  /** Adds a row of exact texts, null for SQL's null. `isCut`: it is known to be too large, and only its key is given. */
  add(texts: readonly (string | null)[], isCut: boolean): void {
    this.#out.byte(this.#count === 0 ? OPEN_BRACKET : COMMA);
    const rowAt = this.#out.length;
    if (!isCut) this.#write(texts, false);
    if (isCut || this.#out.length - rowAt > this.#options.maxRowBytes) {
      this.#out.length = rowAt;
      this.#write(texts, true);
      this.#truncated.push(this.#count);
    }
    this.#count++;
    if (this.#out.length >= this.#options.chunkBytes) this.flush();
  }

  /** Ends the chunk that is being filled, if something is in it. */
  flush(): void {
    if (this.#count === 0) return;
    this.#out.ascii(']');
    this.#full.push({ rows: this.#out.view(0), count: this.#count, truncated: this.#truncated });
    this.#out = new ByteWriter(this.#options.chunkBytes + 1024);
    this.#count = 0;
    this.#truncated = [];
  }

  /** The next chunk that is full, or was flushed. */
  take(): SnapshotChunk | undefined {
    return this.#full.shift();
  }

  #write(texts: readonly (string | null)[], isKeyOnly: boolean): void {
    const out = this.#out;
    let separator = '{';
    for (const [index, { label, type, isKey }] of this.#columns.entries()) {
      if (isKeyOnly && !isKey) continue;
      out.ascii(separator);
      out.copy(label, 0, label.length);
      this.#writeValue(type, texts[index] ?? null);
      separator = ',';
    }
    out.ascii(separator === '{' ? '{}' : '}');
  }

  #writeValue(type: ValueType, value: string | null): void {
    if (value === null) return this.#out.ascii('null');
    const text = this.#text;
    text.length = 0;
    text.text(value);
    writeValue(this.#out, type, text.bytes, 0, text.length);
  }
}
