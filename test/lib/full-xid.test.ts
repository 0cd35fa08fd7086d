import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fullXid } from '../../server/lib/full-xid.ts';

it('widens an id that lies within 2^31 of the snapshot, on either side of a wrap', () => {
  const near = fc.bigInt({ min: -(1n << 31n), max: (1n << 31n) - 1n });
  const xmaxes = fc.bigInt({ min: 1n << 31n, max: 1n << 62n });
  fc.assert(
    fc.property(xmaxes, near, (xmax, distance) => {
      const full = xmax + distance;
      expect(fullXid(Number(full & 0xffff_ffffn), xmax)).toBe(full);
    }),
  );
});
