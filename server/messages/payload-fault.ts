// Owns whether jsonb will take a payload, decided on its JSON text before the database is asked: so that what the
// database raises afterwards can only come from policies and triggers. For texts that JSON.parse has taken.
// What counts as a message's size is the text that jsonb prints, in which 1e9 has ten digits; the trigger
// of realtime.messages measures that exactly, this nearly: blanks between values and names that come twice differ.

import { endOfString } from '../protocol/json-slices.ts';

export type PayloadFault = { readonly kind: 'too_large' | 'unholdable'; readonly message: string };

/** Deeper ones would be a burden to whoever reads them. */
export const MAX_PAYLOAD_DEPTH = 512;

/** A numeric of jsonb has at most so many digits before the point, and behind it. */
const MAX_WHOLE_DIGITS = 131_072;
const MAX_FRACTION_DIGITS = 16_383;
/** From here on PostgreSQL refuses the exponent itself, whatever the number. */
const MAX_EXPONENT = 1_073_741_823;

const QUOTE = 0x22;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const NUMBER = /^-?(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/** The first fault of the JSON `text`, or undefined. `maxBytes` is the bound of a message. */
export function findPayloadFault(text: string, maxBytes: number): PayloadFault | undefined {
  if (!text.isWellFormed()) return HALF_PAIR;
  let bytes = Buffer.byteLength(text);
  let depth = 0;
  for (let at = 0; at < text.length && bytes <= maxBytes; ) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      const end = endOfString(text, at);
      const fault = findStringFault(text.slice(at, end));
      if (fault !== undefined) return fault;
      at = end;
    } else if (code === MINUS || isDigit(code)) {
      const end = endOfNumber(text, at);
      const growth = numberGrowth(text.slice(at, end));
      if (growth === undefined) return TOO_MANY_DIGITS;
      bytes += growth;
      at = end;
    } else {
      depth += nesting(code);
      if (depth > MAX_PAYLOAD_DEPTH) return TOO_DEEP;
      at += 1;
    }
  }
  return bytes > maxBytes ? tooLarge(maxBytes) : undefined;
}

/** How the fault of a payload above `maxBytes` is said, by whoever measures it. */
export function tooLarge(maxBytes: number): PayloadFault {
  return { kind: 'too_large', message: `A payload has at most ${maxBytes} bytes` };
}

const HALF_PAIR = unholdable('holds half a surrogate pair');
const ZERO_CHARACTER = unholdable('holds U+0000');
const TOO_MANY_DIGITS = unholdable('holds a number with too many digits');
const TOO_DEEP = unholdable(`has more than ${MAX_PAYLOAD_DEPTH} levels`);

function unholdable(what: string): PayloadFault {
  return { kind: 'unholdable', message: `The payload ${what}` };
}

function nesting(code: number): number {
  // [ and { differ in one bit from each other, and so do ] and }.
  const bracket = code & ~0x20;
  if (bracket === 0x5b) return 1;
  return bracket === 0x5d ? -1 : 0;
}

// Without an escape a string is as it stands there, and that has been looked at.
function findStringFault(quoted: string): PayloadFault | undefined {
  if (!quoted.includes('\\u')) return undefined;
  const value = JSON.parse(quoted) as string;
  if (value.includes('\0')) return ZERO_CHARACTER;
  return value.isWellFormed() ? undefined : HALF_PAIR;
}

function endOfNumber(text: string, from: number): number {
  let at = from + 1;
  while (isPartOfNumber(text.charCodeAt(at))) at += 1;
  return at;
}

function isPartOfNumber(code: number): boolean {
  // e and E
  return isDigit(code) || code === POINT || code === PLUS || code === MINUS || (code & ~0x20) === 0x45;
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}

/** By how many characters jsonb prints the number longer than it stands here; undefined if it cannot hold it. */
function numberGrowth(text: string): number | undefined {
  const [, whole = '', fraction = '', exponentText = '0'] = NUMBER.exec(text) ?? [];
  const exponent = Number(exponentText);
  if (Math.abs(exponent) >= MAX_EXPONENT) return undefined;
  const leadingZeros = /^0*/.exec(whole + fraction)?.[0].length ?? 0;
  const isZero = leadingZeros === whole.length + fraction.length;
  const wholeDigits = isZero ? 1 : whole.length - leadingZeros + exponent;
  const fractionDigits = Math.max(0, fraction.length - exponent);
  if (wholeDigits > MAX_WHOLE_DIGITS || fractionDigits > MAX_FRACTION_DIGITS) return undefined;
  return Math.max(0, Math.max(1, wholeDigits) + fractionDigits - text.length);
}
