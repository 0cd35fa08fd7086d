import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CommitTimeFormat } from '../../server/changes/commit-time.ts';

const POSTGRES_EPOCH_MS = 946_684_800_000n;

it('writes microseconds without trailing zeros, and none where there are none', () => {
  const times = new CommitTimeFormat();
  const texts = [0n, 1n, 10n, 500_000n, 999_999n, 1_000_000n, 1_000_100n].map((micros) => times.format(micros));
  expect(texts).toEqual([
    '2000-01-01T00:00:00Z',
    '2000-01-01T00:00:00.000001Z',
    '2000-01-01T00:00:00.00001Z',
    '2000-01-01T00:00:00.5Z',
    '2000-01-01T00:00:00.999999Z',
    '2000-01-01T00:00:01Z',
    '2000-01-01T00:00:01.0001Z',
  ]);
});

it('writes the time that it was given, whatever it wrote before', () => {
  const times = new CommitTimeFormat();
  const micros = fc.bigInt({ min: -(10n ** 15n), max: 9n * 10n ** 15n });
  fc.assert(
    fc.property(micros, (given) => {
      const [, second, fraction = ''] = /^([^.]*?)(?:\.(\d{1,6}))?Z$/.exec(times.format(given)) ?? [];
      const readBack = (BigInt(Date.parse(`${second}Z`)) - POSTGRES_EPOCH_MS) * 1000n + BigInt(fraction.padEnd(6, '0'));
      expect(readBack).toBe(given);
    }),
  );
});
