// Owns the id of a row change: a UUIDv8 (RFC 9562, section 5.8) that holds its position, masked by a hash of
// the system identifier. The same change has the same id for ever, and an id gives its position back without
// a look-up. Layout of the 122 free bits: epoch (32), commit LSN without its three zero bits (61), index (29).
// A transaction of more than 536,870,911 changes repeats ids; its positions stay unique. Pure, runs in a browser.

import { type Epoch, hex32, type Lsn, type PositionParts } from '../lib/position.ts';

const FREE_BITS = 122n;
const INDEX_BITS = 29n;
const INDEX_MASK = (1 << 29) - 1;
const LSN_ALIGNMENT_BITS = 3n;
const LSN_BITS = 61n;
const LOW_62 = (1n << 62n) - 1n;
const UUID_V8 = /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** What all ids of one system are masked with: 122 bits, and the same in words of 32 bits, highest first. */
export type MessageIdMask = {
  readonly bits: bigint;
  readonly words: readonly [number, number, number, number];
};

/** The first 122 bits of a hash (at least 16 bytes) as the mask of all ids of one system. */
export function messageIdMask(hash: Uint8Array): MessageIdMask {
  let whole = 0n;
  for (const byte of hash.subarray(0, 16)) whole = (whole << 8n) | BigInt(byte);
  const bits = whole >> 6n;
  const word = (index: number): number => Number((bits >> BigInt(32 * index)) & 0xffff_ffffn);
  return { bits, words: [word(3), word(2), word(1), word(0)] };
}

/** Makes the ids of one transaction's changes: `idOf(index)`. Commit LSNs are 8-byte aligned (xlogrecord.h). */
export function messageIds(mask: MessageIdMask, epoch: Epoch, lsn: Lsn): (index: number) => string {
  const [mask3, mask2, mask1, mask0] = mask.words;
  // Once a transaction, so in words of 32 bits: arithmetic on one bigint of 122 bits takes thrice as long.
  const lsnHigh = Number(lsn >> 32n);
  const lsnLow = Number(lsn & 0xffff_ffffn);
  const low = (lsnHigh << 29) | (lsnLow >>> 3);
  const high = lsnHigh >>> 3;
  const word3 = (epoch >>> 6) ^ mask3;
  const word2 = ((epoch << 26) | (high >>> 3)) ^ mask2;
  const word1 = ((high << 29) | (low >>> 3)) ^ mask1;
  const word0 = (low << 29) ^ mask0;
  const prefix = uuidPrefix(word3, word2, word1);
  return (index) => prefix + hex32((word0 ^ (index & INDEX_MASK)) >>> 0);
}

/** The position inside an id; undefined if the text is no id of a row change. */
export function positionOfMessageId(mask: MessageIdMask, id: string): PositionParts | undefined {
  if (!UUID_V8.test(id)) return undefined;
  const bits = fromUuid(id) ^ mask.bits;
  return {
    epoch: Number(bits >> (LSN_BITS + INDEX_BITS)) as Epoch,
    lsn: (((bits >> INDEX_BITS) & ((1n << LSN_BITS) - 1n)) << LSN_ALIGNMENT_BITS) as Lsn,
    index: Number(bits & BigInt(INDEX_MASK)),
  };
}

// The UUID's order of free bits: 48, the version 8, 12, the variant 10, 62. The last 32 are the caller's.
function uuidPrefix(word3: number, word2: number, word1: number): string {
  const first = ((word3 << 6) | (word2 >>> 26)) >>> 0;
  const second = hex32((word2 << 6) >>> 0).slice(0, 4);
  const version = hex32((0x8000 << 16) | ((word2 & 0x3ff) << 18) | ((word1 >>> 30) << 16)).slice(0, 4);
  const variant = hex32((0x8000_0000 | (word1 & 0x3fff_ffff)) >>> 0);
  return `${hex32(first)}-${second}-${version}-${variant.slice(0, 4)}-${variant.slice(4)}`;
}

function fromUuid(uuid: string): bigint {
  const whole = BigInt(`0x${uuid.replaceAll('-', '')}`);
  const high = whole >> 80n;
  const middle = (whole >> 64n) & 0xfffn;
  return ((high << 74n) | (middle << 62n) | (whole & LOW_62)) & ((1n << FREE_BITS) - 1n);
}
