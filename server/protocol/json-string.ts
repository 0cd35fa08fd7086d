// Owns the escaping of UTF-8 bytes into JSON string bytes (RFC 8259, section 7), without decoding them.
// Pure, and runs in a browser.

import type { ByteWriter } from './byte-writer.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** For each byte: 0 = as it stands, 1 = `\u00XX`, else the letter behind the backslash. */
const ESCAPES = new Uint8Array(256).fill(1, 0, 0x20);
ESCAPES[QUOTE] = QUOTE;
ESCAPES[BACKSLASH] = BACKSLASH;
for (const [control, letter] of [
  ['\b', 'b'],
  ['\f', 'f'],
  ['\n', 'n'],
  ['\r', 'r'],
  ['\t', 't'],
] as const) {
  ESCAPES[control.charCodeAt(0)] = letter.charCodeAt(0);
}
const HEX = '0123456789abcdef';
const LONG = 96;
/** `\u00XX`. */
const MAX_ESCAPE_BYTES = 6;

/** Writes `source[start, end)` as one JSON string, quotes included. */
export function writeJsonString(out: ByteWriter, source: Uint8Array, start: number, end: number): void {
  if (end - start > LONG) return writeLong(out, source, start, end);
  out.reserve((end - start) * MAX_ESCAPE_BYTES + 2);
  const { bytes } = out;
  let at = out.length;
  bytes[at++] = QUOTE;
  for (let i = start; i < end; i++) {
    const byte = source[i] as number;
    const kind = ESCAPES[byte] as number;
    if (kind === 0) bytes[at++] = byte;
    else at = writeEscape(bytes, at, byte, kind);
  }
  bytes[at++] = QUOTE;
  out.length = at;
}

// Long values are scanned for the next escape, and what lies between is copied in one go. Room is made as
// it is needed: six times a value of megabytes would be too much.
function writeLong(out: ByteWriter, source: Uint8Array, start: number, end: number): void {
  let from = start;
  out.byte(QUOTE);
  for (let i = start; i < end; i++) {
    const byte = source[i] as number;
    const kind = ESCAPES[byte] as number;
    if (kind === 0) continue;
    out.copy(source, from, i);
    out.reserve(MAX_ESCAPE_BYTES);
    out.length = writeEscape(out.bytes, out.length, byte, kind);
    from = i + 1;
  }
  out.copy(source, from, end);
  out.byte(QUOTE);
}

function writeEscape(bytes: Uint8Array, offset: number, byte: number, kind: number): number {
  let at = offset;
  bytes[at++] = BACKSLASH;
  if (kind !== 1) {
    bytes[at++] = kind;
    return at;
  }
  bytes[at++] = 0x75;
  bytes[at++] = 0x30;
  bytes[at++] = 0x30;
  bytes[at++] = HEX.charCodeAt(byte >> 4);
  bytes[at++] = HEX.charCodeAt(byte & 15);
  return at;
}
