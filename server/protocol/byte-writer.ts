// Owns a growing run of bytes into which frames and values are spliced. What was handed out as a view is
// never written again: a full buffer is replaced, not reused. Pure, and runs in a browser.

const encoder = new TextEncoder();

/** Bytes below this are copied one by one: a native copy costs more than it saves. */
const SHORT_COPY = 48;

export class ByteWriter {
  bytes: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  /** Makes room for `count` more bytes. */
  reserve(count: number): void {
    const needed = this.length + count;
    if (needed <= this.bytes.length) return;
    const larger = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  /** Appends text that is known to be ASCII. */
  ascii(text: string): void {
    this.reserve(text.length);
    const { bytes } = this;
    let at = this.length;
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
    this.length = at;
  }

  /** Appends text as UTF-8. */
  text(text: string): void {
    this.reserve(text.length * 3);
    this.length += encoder.encodeInto(text, this.bytes.subarray(this.length)).written;
  }

  /** Appends `source[start, end)`. */
  copy(source: Uint8Array, start: number, end: number): void {
    this.reserve(end - start);
    if (end - start > SHORT_COPY) {
      this.bytes.set(source.subarray(start, end), this.length);
      this.length += end - start;
      return;
    }
    const { bytes } = this;
    let at = this.length;
    for (let i = start; i < end; i++) bytes[at++] = source[i] as number;
    this.length = at;
  }

  int16(value: number): void {
    this.reserve(2);
    this.bytes[this.length++] = (value >>> 8) & 0xff;
    this.bytes[this.length++] = value & 0xff;
  }

  int32(value: number): void {
    this.reserve(4);
    this.#int32At(this.length, value);
    this.length += 4;
  }

  int64(value: bigint): void {
    this.int32(Number((value >> 32n) & 0xffff_ffffn));
    this.int32(Number(value & 0xffff_ffffn));
  }

  /** Overwrites four bytes at `offset`: a length that was not known when its place was passed. */
  patchInt32(offset: number, value: number): void {
    this.#int32At(offset, value);
  }

  /** A view of `[start, length)`; stays valid and unchanged. */
  view(start: number): Uint8Array {
    return this.bytes.subarray(start, this.length);
  }

  #int32At(offset: number, value: number): void {
    this.bytes[offset] = (value >>> 24) & 0xff;
    this.bytes[offset + 1] = (value >>> 16) & 0xff;
    this.bytes[offset + 2] = (value >>> 8) & 0xff;
    this.bytes[offset + 3] = value & 0xff;
  }
}
