// Owns the payload of a row change as bytes: schema, table, commit time, event, `new`, `old`, and what is
// missing from them. One encoder serves one version of one table, so that all names are encoded once.
// Which changes exist, who gets them, as what event and with which columns is decided elsewhere.

import type { ByteWriter } from '../protocol/byte-writer.ts';
import { writeJsonString } from '../protocol/json-string.ts';
import { writeValue } from '../protocol/value-encoder.ts';
import { isTextLost, mayLoseText, type ValueType } from '../protocol/value-type.ts';
import type { Relation } from '../replication/relation.ts';
import type { RowEntry } from '../replication/wal-entry.ts';
import { TupleView } from './tuple-view.ts';

const encoder = new TextEncoder();
/** jsonb holds 255 MB, escapes included, and history is no place for more. */
const MAX_IMAGE_BYTES = 32 * 1024 * 1024;
const NULL = encoder.encode('null');
const CAUSE = ',"cause":"UPDATE"}';

type Column = {
  /** `"name":`, ready to be copied. */
  readonly label: Uint8Array;
  readonly type: ValueType;
  readonly isKey: boolean;
};

/** A change as a viewer sees it: as it is, or as a row that comes into view or leaves it by an UPDATE. */
export type RowView = 'same' | 'enter' | 'leave';

/** One byte a column of the relation, not zero where it is sent; null for all. */
export type ColumnMask = Uint8Array | null;

export type EncodedImages = { readonly oldImage: Uint8Array | null; readonly newImage: Uint8Array | null };

export class RowEncoder {
  readonly #head: Uint8Array;
  readonly #columns: readonly Column[];
  readonly #hasKey: boolean;
  readonly #isFull: boolean;
  readonly #mayLoseText: boolean;
  readonly #new = new TupleView();
  readonly #old = new TupleView();
  /** Of the payload being written. */
  #mask: ColumnMask = null;

  /** `key` names the columns of the key where the relation does not: its identity is the whole row. */
  constructor(relation: Relation, types: readonly ValueType[], key?: readonly string[] | undefined) {
    const { schema, name } = relation;
    this.#head = encoder.encode(`{"schema":${JSON.stringify(schema)},"table":${JSON.stringify(name)},`);
    this.#isFull = relation.identity === 'full';
    this.#columns = relation.columns.map((column, index) => {
      const type = types[index] as ValueType;
      const label = encoder.encode(`${JSON.stringify(column.name)}:`);
      const isKey = key === undefined ? column.isKey : key.includes(column.name);
      return { label, type, isKey };
    });
    this.#hasKey = this.#columns.some(({ isKey }) => isKey);
    this.#mayLoseText = types.some(mayLoseText);
  }

  /** The mask that sends `wanted` and the key, as far as `granted` allows; null for all. The same sets give equal masks. */
  mask(relation: Relation, granted: ReadonlySet<string> | null, wanted: ReadonlySet<string> | null): ColumnMask {
    const mask = Uint8Array.from(relation.columns, ({ name }, index) => {
      const isWanted = wanted === null || wanted.has(name) || (this.#columns[index] as Column).isKey;
      return isWanted && (granted === null || granted.has(name)) ? 1 : 0;
    });
    return mask.includes(0) ? mask : null;
  }

  /**
   * Appends the payload of `row`. `middle` is the part that all rows of a transaction and event share:
   * `"commit_timestamp":"…","eventType":"…",`. Leaves the row in the views, for `images`.
   */
  writePayload(out: ByteWriter, row: RowEntry, middle: string, mask: ColumnMask = null): void {
    this.#begin(out, row, middle, mask);
    if (row.operation === 'DELETE') out.copy(NULL, 0, NULL.length);
    else this.#writeNew(out);
    out.ascii(',"old":');
    if (row.operation === 'INSERT') out.copy(NULL, 0, NULL.length);
    else this.#writeOld(out);
    if (this.#new.hasUnchanged && !this.#isFull) this.#writeUnchanged(out);
    out.ascii('}');
  }

  /** Appends the payload of a row that an UPDATE brought into view: an INSERT of its new image. */
  writeEnter(out: ByteWriter, row: RowEntry, middle: string, mask: ColumnMask): void {
    this.#begin(out, row, middle, mask);
    this.#writeNew(out);
    out.ascii(',"old":null');
    if (this.#new.hasUnchanged && !this.#isFull) this.#writeUnchanged(out);
    out.ascii(CAUSE);
  }

  /** Appends the payload of a row that an UPDATE took out of view: a DELETE with the key of its old image alone. */
  writeLeave(out: ByteWriter, row: RowEntry, middle: string, mask: ColumnMask): void {
    this.#begin(out, row, middle, mask);
    out.ascii('null,"old":');
    // Without a key the row can be named only by what the viewer had of it.
    if (this.#hasKey) this.#writeKey(out, this.#old);
    else this.#writeOld(out);
    out.ascii(CAUSE);
  }

  /** Appends the payload of a row too large for a message: its key alone, and that it was cut. */
  writeTruncated(
    out: ByteWriter,
    row: RowEntry,
    middle: string,
    view: RowView = 'same',
    mask: ColumnMask = null,
  ): void {
    this.#begin(out, row, middle, mask);
    if (row.operation === 'DELETE' || view === 'leave') out.copy(NULL, 0, NULL.length);
    else this.#writeKey(out, this.#new);
    out.ascii(',"old":');
    if (row.operation === 'INSERT' || view === 'enter') out.copy(NULL, 0, NULL.length);
    else this.#writeKey(out, this.#old.count > 0 ? this.#old : this.#new);
    out.ascii(',"truncated":true');
    out.ascii(view === 'same' ? '}' : CAUSE);
  }

  /**
   * The exact texts that the payload written last does not give back, as JSON objects from column name to
   * text or null; null where it gives back everything. `whole` keeps every column: the payload was cut.
   * A column that does not fit into MAX_IMAGE_BYTES is left out, as if it had not been resent.
   */
  images(out: ByteWriter, whole: boolean): EncodedImages {
    if (!whole && !this.#mayLoseText) return NO_IMAGES;
    return { oldImage: this.#image(out, this.#old, whole), newImage: this.#image(out, this.#new, whole) };
  }

  /** Points the views at `row` and writes what stands in front of its new image. */
  #begin(out: ByteWriter, row: RowEntry, middle: string, mask: ColumnMask): void {
    this.#mask = mask;
    this.#new.read(row.newTuple);
    this.#old.read(row.oldTuple);
    out.copy(this.#head, 0, this.#head.length);
    out.ascii(middle);
    out.ascii('"new":');
  }

  #writeNew(out: ByteWriter): void {
    const view = this.#new;
    out.ascii('{');
    let isFirst = true;
    for (let index = 0; index < view.count; index++) {
      // Under FULL a large value that was not resent stands in the old image (logical replication docs).
      const source = view.isUnchanged(index) ? this.#old : view;
      if ((source !== view && !this.#isFull) || !this.#isSent(index)) continue;
      this.#writeColumn(out, source, index, isFirst);
      isFirst = false;
    }
    out.ascii('}');
  }

  // Without FULL the old image is the key, taken from the new row where the key did not change.
  #writeOld(out: ByteWriter): void {
    const view = this.#old.count > 0 ? this.#old : this.#new;
    if (!this.#isFull) return this.#writeKey(out, view);
    out.ascii('{');
    let isFirst = true;
    for (let index = 0; index < view.count; index++) {
      if (!this.#isSent(index)) continue;
      this.#writeColumn(out, view, index, isFirst);
      isFirst = false;
    }
    out.ascii('}');
  }

  #writeKey(out: ByteWriter, view: TupleView): void {
    out.ascii('{');
    let isFirst = true;
    for (let index = 0; index < view.count; index++) {
      const { isKey } = this.#columns[index] as Column;
      if (!isKey || view.isUnchanged(index) || !this.#isSent(index)) continue;
      this.#writeColumn(out, view, index, isFirst);
      isFirst = false;
    }
    out.ascii('}');
  }

  #writeColumn(out: ByteWriter, view: TupleView, index: number, isFirst: boolean): void {
    const { label, type } = this.#columns[index] as Column;
    if (!isFirst) out.byte(0x2c);
    out.copy(label, 0, label.length);
    if (view.isNull(index)) out.copy(NULL, 0, NULL.length);
    else writeValue(out, type, view.bytes, view.start(index), view.end(index));
  }

  // Said only where something of what is sent is missing.
  #writeUnchanged(out: ByteWriter): void {
    const start = out.length;
    out.ascii(',"unchanged":[');
    let isFirst = true;
    for (const [index, { label }] of this.#columns.entries()) {
      if (!this.#new.isUnchanged(index) || !this.#isSent(index)) continue;
      if (!isFirst) out.byte(0x2c);
      out.copy(label, 0, label.length - 1);
      isFirst = false;
    }
    if (isFirst) out.length = start;
    else out.ascii(']');
  }

  #isSent(index: number): boolean {
    return this.#mask === null || this.#mask[index] !== 0;
  }

  #image(out: ByteWriter, view: TupleView, whole: boolean): Uint8Array | null {
    if (view.count === 0) return null;
    const start = out.length;
    out.ascii('{');
    for (let index = 0; index < view.count; index++) {
      const { label, isKey } = this.#columns[index] as Column;
      const isAbsent = view === this.#old && !this.#isFull && !isKey;
      if (isAbsent || view.isUnchanged(index) || (!whole && !this.#isTextLost(view, index))) continue;
      if (out.length - start + view.textBytes(index) > MAX_IMAGE_BYTES) continue;
      if (out.length > start + 1) out.byte(0x2c);
      out.copy(label, 0, label.length);
      if (view.isNull(index)) out.copy(NULL, 0, NULL.length);
      else writeJsonString(out, view.bytes, view.start(index), view.end(index));
    }
    out.ascii('}');
    return out.length === start + 2 ? null : out.view(start);
  }

  // A null of a type whose text is lost in any case is kept as well: SQL's null and JSON's look alike.
  #isTextLost(view: TupleView, index: number): boolean {
    const { type } = this.#columns[index] as Column;
    if (view.isNull(index)) return type.kind !== 'float' && mayLoseText(type);
    return isTextLost(type, view.bytes, view.start(index), view.end(index));
  }
}

const NO_IMAGES: EncodedImages = { oldImage: null, newImage: null };
