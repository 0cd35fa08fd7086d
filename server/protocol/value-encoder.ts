// Owns the one JSON form of Postgres values, written from the text that Postgres prints under the pinned
// session settings (DateStyle ISO, TimeZone UTC, extra_float_digits 3, bytea_output hex). Text is spliced as
// bytes; nothing is parsed and printed again. Nested values (arrays, composites) are nested-value.ts.
// Pure, and runs in a browser.

import { unreachable } from '../lib/assert.ts';
import type { ByteWriter } from './byte-writer.ts';
import { writeJsonString } from './json-string.ts';
import { writeArray, writeComposite, writeVector } from './nested-value.ts';
import type { ValueType } from './value-type.ts';

const QUOTE = 0x22;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const SPACE = 0x20;
const LETTER_T = 0x54;
const LETTER_Z = 0x5a;
const LOWER_T = 0x74;
const MAX_EXACT_DIGITS = 15;

/** Writes the value whose text is `source[start, end)`. */
export function writeValue(out: ByteWriter, type: ValueType, source: Uint8Array, start: number, end: number): void {
  switch (type.kind) {
    case 'text':
      return writeJsonString(out, source, start, end);
    case 'bool':
      return out.ascii(source[start] === LOWER_T ? 'true' : 'false');
    case 'integer':
      return out.copy(source, start, end);
    case 'decimal':
      return isExactNumber(source, start, end)
        ? out.copy(source, start, end)
        : writeJsonString(out, source, start, end);
    case 'float':
      return isDigit(source[end - 1]) ? out.copy(source, start, end) : writeJsonString(out, source, start, end);
    case 'json':
      return out.copy(source, start, end);
    case 'timestamp':
      return writeTimestamp(out, source, start, end);
    case 'timestamptz':
      return writeTimestamptz(out, source, start, end);
    case 'array':
      return writeArray(out, type, { source, start, end, write: writeValue });
    case 'vector':
      return writeVector(out, type.element, { source, start, end, write: writeValue });
    case 'composite':
      return writeComposite(out, type.fields, { source, start, end, write: writeValue });
    default:
      return unreachable(type);
  }
}

/** Up to 15 significant digits, which a double holds exactly; NaN and Infinity are no numbers in JSON. */
function isExactNumber(source: Uint8Array, start: number, end: number): boolean {
  if (!isDigit(source[end - 1])) return false;
  let digits = 0;
  for (let i = start; i < end; i++) {
    const byte = source[i] as number;
    if (byte === MINUS || byte === POINT) continue;
    if (byte !== ZERO || digits > 0) digits++;
  }
  return digits <= MAX_EXACT_DIGITS;
}

// `2024-01-15 10:30:00.5` → `"2024-01-15T10:30:00.5"`; `infinity` and ` BC` stay.
function writeTimestamp(out: ByteWriter, source: Uint8Array, start: number, end: number): void {
  out.reserve(end - start + 2);
  out.bytes[out.length++] = QUOTE;
  copyWithT(out, source, start, end);
  out.bytes[out.length++] = QUOTE;
}

// `2024-01-15 10:30:00.5+00` → `"2024-01-15T10:30:00.5Z"` (RFC 3339); an era stays behind the Z.
function writeTimestamptz(out: ByteWriter, source: Uint8Array, start: number, end: number): void {
  const zoneAt = source.lastIndexOf(PLUS, end - 1);
  if (zoneAt < start) return writeTimestamp(out, source, start, end);
  out.reserve(end - start + 2);
  out.bytes[out.length++] = QUOTE;
  copyWithT(out, source, start, zoneAt);
  out.bytes[out.length++] = LETTER_Z;
  out.copy(source, zoneAt + 3, end);
  out.bytes[out.length++] = QUOTE;
}

function copyWithT(out: ByteWriter, source: Uint8Array, start: number, end: number): void {
  let seen = false;
  for (let i = start; i < end; i++) {
    const byte = source[i] as number;
    const isFirstSpace = byte === SPACE && !seen;
    if (isFirstSpace) seen = true;
    out.bytes[out.length++] = isFirstSpace ? LETTER_T : byte;
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= ZERO && byte <= NINE;
}
