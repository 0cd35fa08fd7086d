import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Epoch, type Lsn, toEpoch, toLsn } from '../../server/lib/position.ts';
import { messageIdMask, messageIds, positionOfMessageId } from '../../server/protocol/message-id.ts';

const mask = messageIdMask(createHash('sha256').update('rowcast:7500000000000000001').digest());
const UUID_V8 = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const masks = fc.uint8Array({ minLength: 16, maxLength: 32 }).map(messageIdMask);
const epochs = fc.nat(0xffff_ffff).map((value) => value as Epoch);
/** Commit LSNs are 8-byte aligned. */
const lsns = fc.bigInt({ min: 0n, max: (1n << 61n) - 1n }).map((value) => (value << 3n) as Lsn);
const indexes = fc.oneof(fc.constantFrom(0, 1, (1 << 29) - 1), fc.nat((1 << 29) - 1));

describe('the id of a row change', () => {
  it('is a UUIDv8 and gives its position back', () => {
    fc.assert(
      fc.property(masks, epochs, lsns, indexes, (mask, epoch, lsn, index) => {
        const id = messageIds(mask, epoch, lsn)(index);
        expect(id).toMatch(UUID_V8);
        expect(positionOfMessageId(mask, id)).toEqual({ epoch, lsn, index });
        expect(positionOfMessageId(mask, id.toUpperCase())).toEqual({ epoch, lsn, index });
      }),
      { numRuns: 500 },
    );
  });

  it('differs for different positions', () => {
    fc.assert(
      fc.property(fc.tuple(epochs, lsns, indexes), fc.tuple(epochs, lsns, indexes), (a, b) => {
        fc.pre(a.some((part, at) => part !== b[at]));
        expect(messageIds(mask, a[0], a[1])(a[2])).not.toBe(messageIds(mask, b[0], b[1])(b[2]));
      }),
    );
  });

  it('stays the same for ever', () => {
    expect(messageIds(mask, toEpoch(1_700_000_000), toLsn(0x16_b374_d848n))(5)).toMatchInlineSnapshot(
      `"de9757d4-6503-84ce-beb8-12d180773072"`,
    );
  });

  it('is never read out of another kind of text', () => {
    expect(positionOfMessageId(mask, '0190b8a4-7c1e-7b3a-9d2f-1a2b3c4d5e6f')).toBeUndefined();
    fc.assert(fc.property(fc.string(), (text) => void expect(positionOfMessageId(mask, text)).toBeUndefined()));
    fc.assert(fc.property(fc.uuid({ version: [1, 4, 7] }), (id) => positionOfMessageId(mask, id) === undefined));
  });
});
