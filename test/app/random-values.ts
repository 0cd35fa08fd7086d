// Owns random values of the types that people store, as JSON that json_populate_record reads, and the rule of the JSON
// in which each arrives.

import fc from 'fast-check';
import { DECIMALS, INSTANTS, type Rule } from './common-types.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 200 }).map((value) => value.replaceAll('\0', ''));
const date = fc.date({ min: new Date('0100-01-01'), max: new Date('9999-12-31'), noInvalidDate: true });
const instant = fc.tuple(date, fc.nat(999)).map(([date, micros]) => date.toISOString().replace('Z', `${micros}Z`));
const decimal = fc
  .tuple(fc.bigInt({ min: -(10n ** 19n), max: 10n ** 19n }), fc.stringMatching(/^(\.\d{1,9})?$/))
  .map(([whole, fraction]) => `${whole}${fraction}`);
const double = fc.double().map((value) => (Object.is(value, -0) ? '-0' : String(value)));
const json = fc
  .jsonValue({ stringUnit: 'grapheme', maxDepth: 3 })
  .filter((value) => !JSON.stringify(value).includes('\\u0000'));
const listOf = <T>(value: fc.Arbitrary<T>) => fc.array(fc.option(value, { nil: null }), { maxLength: 6 });

/** Type, what it is filled with, and the rule of its JSON. */
export const RANDOM_COLUMNS: readonly (readonly [type: string, values: fc.Arbitrary<unknown>, rule?: Rule])[] = [
  ['text', text],
  ['char(5)', fc.stringMatching(/^[a-z "\\]{0,5}$/)],
  ['int8', fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String), DECIMALS],
  ['numeric', decimal, DECIMALS],
  ['float8', double],
  ['float4', fc.float().map(String)],
  ['timestamp', instant.map((value) => value.replace('Z', ''))],
  ['timestamptz', instant, INSTANTS],
  [
    'interval',
    fc.tuple(fc.integer({ min: -999, max: 999 }), fc.integer()).map(([days, micros]) => `${days} days ${micros} us`),
  ],
  ['bytea', fc.uint8Array().map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`)],
  ['json', json],
  ['jsonb', json],
  ['text[]', listOf(text)],
  ['int8[]', listOf(fc.bigInt({ min: -(2n ** 60n), max: 2n ** 60n }).map(String)), DECIMALS],
  ['float8[]', listOf(double)],
  ['timestamptz[]', listOf(instant), INSTANTS],
  ['jsonb[]', listOf(json.map((value) => ({ value })))],
  ['pair', fc.record({ a: fc.option(text, { nil: null }), b: listOf(text), n: double, at: instant }), INSTANTS],
  ['pair[]', listOf(fc.record({ a: text, b: listOf(text), n: double, at: instant })), INSTANTS],
];
export const RANDOM_ROW = fc.record(
  Object.fromEntries(
    RANDOM_COLUMNS.map(([, values], index) => [`c${index}`, fc.option(values, { nil: null, freq: 8 })]),
  ),
);

/** What the types of the random columns need. */
export const RANDOM_SETUP = 'create type pair as (a text, b text[], n float8, at timestamptz);';

/** Definitions of the random columns, `c0` and so on. */
export const RANDOM_DEFINITIONS = RANDOM_COLUMNS.map(([type], index) => `c${index} ${type}`).join(', ');
