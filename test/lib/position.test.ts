import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type Epoch,
  endOfTransaction,
  formatLsn,
  formatPosition,
  type Lsn,
  nextEpoch,
  type PositionParts,
  parseLsn,
  parsePosition,
  positionPrefix,
  toEpoch,
  toLsn,
} from '../../server/lib/position.ts';

const MAX_LSN = (1n << 64n) - 1n;
const MAX_UINT32 = 0xffff_ffff;

/** Numbers near the places where 32 bits, a double, 63 bits with a sign and 64 bits end, and any others. */
const lsns = fc
  .oneof(
    fc
      .constantFrom(0n, 1n << 32n, 1n << 53n, 1n << 63n, MAX_LSN)
      .chain((at) => fc.bigInt({ min: at - 3n, max: at + 3n })),
    fc.bigInt({ min: 0n, max: MAX_LSN }),
  )
  .map((value) => (value < 0n ? 0n : value > MAX_LSN ? MAX_LSN : value) as Lsn);
const uint32s = fc.oneof(fc.constantFrom(0, 1, 0x7fff_ffff, 0x8000_0000, MAX_UINT32), fc.nat(MAX_UINT32));
const positions: fc.Arbitrary<PositionParts> = fc.record({
  epoch: uint32s.map((value) => value as Epoch),
  lsn: lsns,
  index: uint32s,
});

function compare(a: PositionParts, b: PositionParts): number {
  const pairs = [
    [BigInt(a.epoch), BigInt(b.epoch)],
    [a.lsn, b.lsn],
    [BigInt(a.index), BigInt(b.index)],
  ] as const;
  for (const [left, right] of pairs) if (left !== right) return left < right ? -1 : 1;
  return 0;
}

describe('a position', () => {
  it('as text is read back as it was', () => {
    fc.assert(fc.property(positions, (parts) => void expect(parsePosition(formatPosition(parts))).toEqual(parts)));
  });

  it('as text is ordered as positions are, byte by byte', () => {
    fc.assert(
      fc.property(positions, positions, (a, b) => {
        expect(Math.sign(Buffer.compare(Buffer.from(formatPosition(a)), Buffer.from(formatPosition(b))))).toBe(
          compare(a, b),
        );
      }),
    );
  });

  it('has 8, 16 and 8 lower-case hex digits', () => {
    expect(formatPosition({ epoch: toEpoch(0xabcdef), lsn: toLsn(0x16_b374_d848n), index: 255 })).toBe(
      '00abcdef-00000016b374d848-000000ff',
    );
  });

  it('at the end of a transaction lies at or above all of it and below the next', () => {
    fc.assert(
      fc.property(positions, ({ epoch, lsn, index }) => {
        const end = endOfTransaction(epoch, lsn);
        expect(formatPosition({ epoch, lsn, index }) <= end).toBe(true);
        if (lsn < MAX_LSN) expect(end < formatPosition({ epoch, lsn: (lsn + 1n) as Lsn, index: 0 })).toBe(true);
        expect(end.startsWith(positionPrefix(epoch, lsn))).toBe(true);
      }),
    );
  });

  it.each([
    '',
    '00000001-0000000000000001-0000000',
    '00000001-0000000000000001-000000010',
    '0000001-00000000000000001-00000001',
    '00000001-000000000000000G-00000001',
    '00000001-000000000000000A-00000001',
    ' 00000001-0000000000000001-00000001',
    '00000001-0000000000000001-00000001\n',
    '+0000001-0000000000000001-00000001',
  ])('is not %j', (text) => {
    expect(parsePosition(text)).toBeUndefined();
  });

  it('is never read out of arbitrary text, unless it is written like that again', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const parts = parsePosition(text);
        if (parts !== undefined) expect(formatPosition(parts)).toBe(text);
      }),
    );
  });
});

describe('an LSN', () => {
  it('in the form of Postgres is read back exactly, beyond 2^53 too', () => {
    fc.assert(fc.property(lsns, (lsn) => void expect(parseLsn(formatLsn(lsn))).toBe(lsn)));
  });

  it.each([
    [0n, '0/0'],
    [0xffff_ffffn, '0/FFFFFFFF'],
    [1n << 32n, '1/0'],
    [(1n << 53n) + 1n, '200000/1'],
    [MAX_LSN, 'FFFFFFFF/FFFFFFFF'],
  ])('%d is %s', (value, text) => {
    expect(formatLsn(toLsn(value))).toBe(text);
    expect(parseLsn(text.toLowerCase())).toBe(value);
  });

  it.each(['', '/', '0', '0/', '/0', '0/0/0', '0x0/0', '-1/0', '123456789/0', '0/123456789', '0/0 '])(
    'is not %j',
    (text) => {
      expect(parseLsn(text)).toBeUndefined();
    },
  );

  it('outside 64 bits is refused', () => {
    expect(() => toLsn(-1n)).toThrow(RangeError);
    expect(() => toLsn(1n << 64n)).toThrow(RangeError);
  });
});

describe('an epoch', () => {
  it('follows the clock, yet always grows', () => {
    expect(nextEpoch(undefined, 1_700_000_000.9)).toBe(1_700_000_000);
    expect(nextEpoch(toEpoch(1_700_000_000), 1_700_000_000.9)).toBe(1_700_000_001);
    expect(nextEpoch(toEpoch(1_800_000_000), 1_700_000_000)).toBe(1_800_000_001);
  });

  it.each([-1, 0.5, Number.NaN, MAX_UINT32 + 1])('is not %d', (value) => {
    expect(() => toEpoch(value)).toThrow(RangeError);
  });
});
