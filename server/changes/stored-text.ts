// Owns the way back from history to the exact text of a value: what its JSON says under the type that its column has
// today, and whether that type can have printed it. A text that it cannot have printed is never guessed at: written as
// such a value it would be no JSON, and cast by a policy it would be somebody else's value.

import { ByteWriter } from '../protocol/byte-writer.ts';
import { writeValue } from '../protocol/value-encoder.ts';
import type { ValueType } from '../protocol/value-type.ts';

const QUOTE = '"';
const INTEGER = /^-?\d+$/;
const DECIMAL = /^(?:-?\d+(?:\.\d+)?|NaN|-?Infinity)$/;
const FLOAT = /^(?:-?\d+(?:\.\d+)?(?:e[+-]\d+)?|NaN|-?Infinity)$/;
const TIMESTAMP = /^(?:-?infinity|\d{4,6}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: BC)?)$/;
const TIMESTAMPTZ = /^(?:-?infinity|\d{4,6}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?\+00(?: BC)?)$/;
const PRINTED_INSTANT = /^(\d{4,6}-\d\d-\d\d)T([\d:.]+)(Z?)( BC)?$/;
/** Bounds may stand in front: `[0:1]={…}`. */
const ARRAY = /^(?:(?:\[-?\d+:-?\d+\])+=)?\{.*\}$/s;
const COMPOSITE = /^\(.*\)$/s;

/**
 * The text of the value that is `json` in a payload; undefined where a column of `type` cannot have printed it. `json`
 * is not `null`.
 */
export function textOfJson(json: string, type: ValueType): string | undefined {
  const text = printedText(json, type);
  return text !== undefined && isTextOf(text, type) ? text : undefined;
}

/** Whether a value of `type` may have this text. */
export function isTextOf(text: string, type: ValueType): boolean {
  switch (type.kind) {
    case 'text':
      return true;
    case 'bool':
      return text === 't' || text === 'f';
    case 'integer':
      return INTEGER.test(text);
    case 'decimal':
      return DECIMAL.test(text);
    case 'float':
      return FLOAT.test(text);
    case 'timestamp':
      return TIMESTAMP.test(text);
    case 'timestamptz':
      return TIMESTAMPTZ.test(text);
    case 'json':
      return isJson(text);
    case 'array':
      return ARRAY.test(text) && isWrittenAsJson(text, type);
    case 'composite':
      return COMPOSITE.test(text) && isWrittenAsJson(text, type);
    case 'vector':
      return isWrittenAsJson(text, type);
  }
}

function printedText(json: string, { kind }: ValueType): string | undefined {
  const first = json[0];
  if (first === '{' || first === '[') return undefined; // whatever is written so has its text in an image
  if (first === 't' || first === 'f') return kind === 'bool' ? first : json;
  if (first !== QUOTE) return json;
  const text = JSON.parse(json) as string;
  if (kind === 'timestamp') return text.replace(PRINTED_INSTANT, '$1 $2$3$4');
  return kind === 'timestamptz' ? text.replace(PRINTED_INSTANT, withZone) : text;
}

function withZone(_: string, date: string, time: string, zone: string, era = ''): string {
  return `${date} ${time}${zone === '' ? '' : '+00'}${era}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

// The parts have types of their own. A text of another type may also be nested deeper than can be written.
function isWrittenAsJson(text: string, type: ValueType): boolean {
  const source = Buffer.from(text);
  const out = new ByteWriter(source.length * 2 + 16);
  try {
    writeValue(out, type, source, 0, source.length);
  } catch {
    return false;
  }
  return isJson(Buffer.from(out.view(0)).toString());
}
