// Owns how result columns become JavaScript values, for Rowcast's own pools only: the parsers that pg keeps
// globally are left alone. Nothing loses a digit: 64-bit integers are bigints, numerics, timestamps and JSON
// stay the text that Postgres printed under the pinned settings.

import pg from 'pg';
import { must } from '../lib/assert.ts';
import { type Lsn, parseLsn } from '../lib/position.ts';

const INT8 = 20;
const XID8 = 5069;
const PG_LSN = 3220;
/** numeric, date, time, timestamp, timestamptz, timetz, interval, json, jsonb, and arrays of those that have a parser. */
const KEPT_AS_TEXT = new Set([
  1700, 1082, 1083, 1114, 1184, 1266, 1186, 114, 3802, 1115, 1182, 1185, 1187, 1231, 199, 3807,
]);

const bigintOf = (text: string): bigint => BigInt(text);
const lsnOf = (text: string): Lsn => must(parseLsn(text), `LSN ${text}`);
const asText = (text: string): string => text;

/** For `types` of a pg client or pool. */
export const valueTypes: pg.CustomTypesConfig = {
  getTypeParser(oid: number, format?: string): (value: never) => unknown {
    if (format === 'binary') return pg.types.getTypeParser(oid, 'binary') as (value: never) => unknown;
    if (oid === INT8 || oid === XID8) return bigintOf as (value: never) => unknown;
    if (oid === PG_LSN) return lsnOf as (value: never) => unknown;
    if (KEPT_AS_TEXT.has(oid)) return asText as (value: never) => unknown;
    return pg.types.getTypeParser(oid, 'text') as (value: never) => unknown;
  },
};
