// Owns the comparison of a value in a frame with the text that Postgres prints for it: the rules of the
// contract (numbers up to 15 digits, RFC 3339 in UTC, JSON as it stands), written a second time.

import { isDeepStrictEqual } from 'node:util';
import type { Kind } from './column-kind.ts';

/** Whether `value`, as parsed from a frame, stands for `text`. Arrays are not compared. */
export function standsFor(value: unknown, text: string | null, kind: Kind): boolean {
  if (text === null) return value === null;
  switch (kind) {
    case 'open':
    case 'closed':
      return value === (text === 't' || text === 'true');
    case 'meta':
      return isDeepStrictEqual(value, JSON.parse(text));
    case 'tags':
      return Array.isArray(value);
    case 'number':
    case 'team':
      return value === Number(text);
    case 'long':
    case 'amount':
      return typeof value === 'number' ? value === Number(text) : value === text && digits(text) > 15;
    case 'made':
      return value === text.replace(' ', 'T').replace(/\+00(:00)?$/, 'Z');
    default:
      return value === text;
  }
}

function digits(text: string): number {
  return text.replace(/^-?0*\.?0*|[.-]/g, '').length;
}
