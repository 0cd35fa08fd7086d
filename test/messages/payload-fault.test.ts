// Owns the agreement of the check with jsonb itself, on JSON texts made to be at the edge of what it holds.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { findPayloadFault, MAX_PAYLOAD_DEPTH } from '../../server/messages/payload-fault.ts';
import { describeEachPostgres } from '../rig/postgres.ts';

const HUGE = 1024 * 1024 * 1024;
const digits = (max: number) => fc.nat(max).map((n) => '7'.repeat(n));
const anyNumber = fc
  .tuple(fc.constantFrom('', '-'), fc.constantFrom('0', '1', '907'), digits(40), fc.integer({ min: -40, max: 40 }))
  .map(([sign, whole, fraction, exponent]) => `${sign}${whole}${fraction && `.${fraction}`}e${exponent}`);
const edgeNumber = fc
  .tuple(
    fc.constantFrom('1', '9.9', '0.1', '0.0001', '0', '0.000', '10000', '-7'),
    fc.constantFrom(131_066, 131_072, 131_076, -16_378, -16_383, -16_388, 1_073_741_810, 1_073_741_836),
    fc.integer({ min: -5, max: 5 }),
  )
  .map(([mantissa, exponent, more]) =>
    `${mantissa}${more % 2 === 0 ? 'e' : 'E+'}${exponent + more}`.replace('+-', '-'),
  );
const piece = fc.constantFrom(
  'a',
  '\\\\',
  '\\"',
  '\\u0041',
  '\\u0000',
  '\\\\u0000',
  '\\ud83d',
  '\\ude00',
  '😀',
  '\\n',
  '/',
  'é',
);
const anyString = fc.array(piece, { maxLength: 4 }).map((pieces) => `"${pieces.join('')}"`);
const scalar = fc.oneof(anyNumber, edgeNumber, anyString, fc.constantFrom('null', 'true', '-0', '0.10', '  12 '));
const jsonText = fc.letrec<{ value: string }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    scalar,
    fc.array(tie('value'), { maxLength: 4 }).map((items) => `[${items.join(' ,')}]`),
    fc
      .array(fc.tuple(anyString, tie('value')), { maxLength: 3 })
      .map((members) => `{${members.map(([name, value], index) => `"${index}${name.slice(1)} : ${value}`).join(',')}}`),
  ),
})).value;

describeEachPostgres('a payload', (postgres) => {
  it('is refused exactly where jsonb cannot hold it', async () => {
    await using database = await postgres.createDatabase();
    await database.query(`create function holds(given text) returns boolean language plpgsql as $$
      begin perform given::jsonb; return true; exception when others then return false; end $$`);
    const texts = fc.sample(jsonText, { numRuns: 2_000 });
    const rows = await database.query<{ held: boolean }>('select holds(t) as held from unnest($1::text[]) t', [texts]);
    const told = texts.map((text) => findPayloadFault(text, HUGE));
    const disagreed = texts.filter((_, index) => rows[index]?.held !== (told[index] === undefined));
    expect(disagreed).toEqual([]);
    expect(told.some((fault) => fault === undefined)).toBe(true);
    expect(told.some((fault) => fault?.kind === 'unholdable')).toBe(true);
  });

  it('is measured as jsonb prints it, but for the blanks between its values', async () => {
    await using database = await postgres.createDatabase();
    const texts = fc.sample(jsonText, { numRuns: 500 }).filter((text) => findPayloadFault(text, HUGE) === undefined);
    const rows = await database.query<{ bytes: number }>(
      'select octet_length(t::jsonb::text) as bytes from unnest($1::text[]) t',
      [texts],
    );
    for (const [index, text] of texts.entries()) {
      const printed = rows[index]?.bytes ?? 0;
      const blanks = text.length;
      expect(findPayloadFault(text, printed + blanks), text).toBeUndefined();
      const bound = Math.floor((printed - 2) / 2);
      if (bound > 0 && text.length < bound) expect(findPayloadFault(text, bound)?.kind, text).toBe('too_large');
    }
  });
});

it('has a bound that numbers with exponents cannot slip under', () => {
  const bomb = `[${Array.from({ length: 2_700 }, () => '1e131071').join(',')}]`;
  expect(findPayloadFault(bomb, 256 * 1024)).toEqual({
    kind: 'too_large',
    message: 'A payload has at most 262144 bytes',
  });
});

it('has a bound in bytes, not in characters', () => {
  expect(findPayloadFault(`"${'é'.repeat(50)}"`, 102)).toBeUndefined();
  expect(findPayloadFault(`"${'é'.repeat(50)}"`, 101)?.kind).toBe('too_large');
});

it('may be as deep as the check of permissions allows, and no deeper', () => {
  const nested = (depth: number): string => `${'[{"a":'.repeat(depth / 2)}1${'}]'.repeat(depth / 2)}`;
  expect(findPayloadFault(nested(MAX_PAYLOAD_DEPTH), HUGE)).toBeUndefined();
  expect(findPayloadFault(nested(MAX_PAYLOAD_DEPTH + 2), HUGE)?.message).toBe('The payload has more than 512 levels');
  expect(findPayloadFault('['.repeat(500_000) + ']'.repeat(500_000), HUGE)?.kind).toBe('unholdable');
});

it('is looked through in linear time, whatever its backslashes', () => {
  const text = JSON.stringify('\\"'.repeat(2_000_000));
  const startedAt = performance.now();
  expect(findPayloadFault(text, HUGE)).toBeUndefined();
  expect(performance.now() - startedAt).toBeLessThan(2_000);
});
