// Owns where a window of history begins and ends: a time, or a position. Times are ISO 8601 with a zone, or a date, which is
// its first moment in UTC; they keep their microseconds, for PostgreSQL compares by them.

import { type Position, parsePosition } from '../lib/position.ts';

export type HistoryBound =
  /** RFC 3339 in UTC. */
  { readonly kind: 'time'; readonly at: string } | { readonly kind: 'position'; readonly position: Position };

const TIME = /^(\d{4})-(\d\d)-(\d\d)(?:[Tt](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?(?:[Zz]|([+-])(\d\d):?(\d\d)))?$/;
const MINUTE_MS = 60_000;
const MAX_OFFSET_HOURS = 15;

/** Reads a time or a position; undefined if it is neither. */
export function parseBound(text: string): HistoryBound | undefined {
  if (parsePosition(text) !== undefined) return { kind: 'position', position: text as Position };
  const at = parseTime(text);
  return at === undefined ? undefined : { kind: 'time', at };
}

/** A time as RFC 3339 in UTC; undefined if it is none, or not in the years 1 to 9999. */
export function parseTime(text: string): string | undefined {
  const match = TIME.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour = '00', minute = '00', second = '00', fraction = '0'] = match as unknown as string[];
  const local = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  const localMs = Date.parse(`${local}Z`);
  // Date.parse takes the 30th of February for the 1st of March.
  if (Number.isNaN(localMs) || new Date(localMs).toISOString().slice(0, 19) !== local) return undefined;
  const offsetMs = readOffsetMs(match);
  if (offsetMs === undefined) return undefined;
  const utc = new Date(localMs - offsetMs).toISOString();
  return /^\d{4}-/.test(utc) && !utc.startsWith('0000') ? `${utc.slice(0, 19)}.${fraction}Z` : undefined;
}

function readOffsetMs([, , , , , , , , sign, hours = '00', minutes = '00']: RegExpExecArray): number | undefined {
  if (Number(hours) > MAX_OFFSET_HOURS || Number(minutes) > 59) return undefined;
  const offsetMs = (Number(hours) * 60 + Number(minutes)) * MINUTE_MS;
  return sign === '-' ? -offsetMs : offsetMs;
}
