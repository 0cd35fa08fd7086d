// Owns arrays and composites: Postgres' text forms (https://www.postgresql.org/docs/18/arrays.html#ARRAYS-IO
// and https://www.postgresql.org/docs/18/rowtypes.html#ROWTYPES-IO-SYNTAX) read element by element and
// written as to_json would. How an element is written comes in as `write`, from value-encoder.ts.

import type { ByteWriter } from './byte-writer.ts';
import { writeJsonString } from './json-string.ts';
import type { ValueType } from './value-type.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const EQUALS = 0x3d;
const COMMA = 0x2c;
const SPACE = 0x20;
const encoder = new TextEncoder();

/** Writes one value from the range of its text. */
export type WriteValue = (out: ByteWriter, type: ValueType, source: Uint8Array, start: number, end: number) => void;

type ArrayType = Extract<ValueType, { kind: 'array' }>;
type Fields = Extract<ValueType, { kind: 'composite' }>['fields'];
type TextRange = { readonly bytes: Uint8Array; readonly start: number; readonly end: number };
/** The text of one element, and where reading goes on in the source. */
type Element = TextRange & { readonly next: number; readonly quoted: boolean };

/** A value inside another: its text, and how its parts are written. */
export type Nested = {
  readonly source: Uint8Array;
  readonly start: number;
  readonly end: number;
  readonly write: WriteValue;
};

/** Writes `{1,NULL,{…}}` as a JSON array; explicit bounds (`[2:3]={…}`) are dropped, as to_json does. */
export function writeArray(out: ByteWriter, type: ArrayType, nested: Nested): void {
  const { source, start, end } = nested;
  const equals = source[start] === OPEN_BRACKET ? source.indexOf(EQUALS, start) : -1;
  writeDimension(out, type, nested, equals >= start && equals < end ? equals + 1 : start);
}

function writeDimension(out: ByteWriter, type: ArrayType, nested: Nested, start: number): number {
  const { source, end } = nested;
  out.ascii('[');
  let at = start + 1;
  while (at < end && source[at] !== CLOSE_BRACE) {
    if (at > start + 1) out.ascii(',');
    at = source[at] === OPEN_BRACE ? writeDimension(out, type, nested, at) : writeElement(out, type, nested, at);
    if (source[at] === type.delimiter) at++;
  }
  out.ascii(']');
  return at + 1;
}

function writeElement(out: ByteWriter, type: ArrayType, nested: Nested, start: number): number {
  const isEnd = (byte: number): boolean => byte === type.delimiter || byte === CLOSE_BRACE;
  const element = readElement(nested.source, start, nested.end, isEnd);
  if (!element.quoted && isNull(element)) out.ascii('null');
  else nested.write(out, type.element, element.bytes, element.start, element.end);
  return element.next;
}

/** Writes `1 2 3` as a JSON array. */
export function writeVector(out: ByteWriter, type: ValueType, { source, start, end, write }: Nested): void {
  out.ascii('[');
  for (let at = start; at < end; ) {
    const space = source.indexOf(SPACE, at);
    const stop = space === -1 || space > end ? end : space;
    if (at > start) out.ascii(',');
    write(out, type, source, at, stop);
    at = stop + 1;
  }
  out.ascii(']');
}

/**
 * Writes `(1,"a b",)` as a JSON object; an empty field is null, `""` is the empty text. Where the text has
 * another number of fields than the type (which may be younger than the row), it is written as it stands:
 * a value under the name of another field would be worse.
 */
export function writeComposite(out: ByteWriter, fields: Fields, nested: Nested): void {
  const start = out.length;
  if (writeFields(out, fields, nested)) return;
  out.length = start;
  writeJsonString(out, nested.source, nested.start, nested.end);
}

/** Whether the text had as many fields as there are names. */
function writeFields(out: ByteWriter, fields: Fields, { source, start, end, write }: Nested): boolean {
  if (fields.length === 0) out.byte(OPEN_BRACE);
  let at = start + 1;
  for (const [index, field] of fields.entries()) {
    if (at >= end && index > 0) return false;
    out.byte(index === 0 ? OPEN_BRACE : COMMA);
    out.text(`${JSON.stringify(field.name)}:`);
    const element = readElement(source, at, end - 1, (byte) => byte === COMMA);
    if (!element.quoted && element.start === element.end) out.ascii('null');
    else write(out, field.type, element.bytes, element.start, element.end);
    at = element.next + 1;
  }
  out.byte(CLOSE_BRACE);
  return at === end || (fields.length === 0 && at === end - 1);
}

// An element without escapes is a range of the source; any other is unescaped into bytes of its own.
// Composite text may switch quoting inside one field; Postgres prints a field quoted as a whole or not at all.
function readElement(source: Uint8Array, start: number, end: number, ends: (byte: number) => boolean): Element {
  if (source[start] === QUOTE) return readQuoted(source, start, end);
  let at = start;
  while (at < end && !ends(source[at] as number)) at++;
  return { bytes: source, start, end: at, next: at, quoted: false };
}

function readQuoted(source: Uint8Array, start: number, end: number): Element {
  let escapes = 0;
  let at = start + 1;
  for (; at < end; at++) {
    const byte = source[at];
    if (byte === QUOTE && source[at + 1] !== QUOTE) break;
    if (byte !== BACKSLASH && byte !== QUOTE) continue;
    escapes++;
    at++;
  }
  const text = escapes === 0 ? { bytes: source, start: start + 1, end: at } : unescaped(source, start + 1, at, escapes);
  return { ...text, next: at + 1, quoted: true };
}

function unescaped(source: Uint8Array, start: number, end: number, escapes: number): TextRange {
  const bytes = new Uint8Array(end - start - escapes);
  let length = 0;
  for (let at = start; at < end; at++) {
    if (source[at] === BACKSLASH || source[at] === QUOTE) at++;
    bytes[length++] = source[at] as number;
  }
  return { bytes, start: 0, end: length };
}

const NULL_TEXT = encoder.encode('NULL');

function isNull(element: Element): boolean {
  if (element.end - element.start !== NULL_TEXT.length) return false;
  return NULL_TEXT.every((byte, index) => element.bytes[element.start + index] === byte);
}
