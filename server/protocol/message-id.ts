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

/** The first 122 bits of a hash (at least 16 bytes) as the mask of all ids of one system. */
export function messageIdMask(hash: Uint8Array): bigint {
  let bits = 0n;
  for (const byte of hash.subarray(0, 16)) bits = (bits << 8n) | BigInt(byte);
  return bits >> 6n;
}

/** Makes the ids of one transaction's changes: `idOf(index)`. Commit LSNs are 8-byte aligned (xlogrecord.h). */
export function messageIds(mask: bigint, epoch: Epoch, lsn: Lsn): (index: number) => string {
  const bits = ((BigInt(epoch) << (LSN_BITS + INDEX_BITS)) | ((lsn >> LSN_ALIGNMENT_BITS) << INDEX_BITS)) ^ mask;
  const uuid = toUuid(bits);
  const prefix = uuid.slice(0, -8);
  const low32 = Number(bits & 0xffff_ffffn);
  return (index) => prefix + hex32((low32 ^ (index & INDEX_MASK)) >>> 0);
}

/** The position inside an id; undefined if the text is no id of a row change. */
export function positionOfMessageId(mask: bigint, id: string): PositionParts | undefined {
  if (!UUID_V8.test(id)) return undefined;
  const bits = fromUuid(id) ^ mask;
  return {
    epoch: Number(bits >> (LSN_BITS + INDEX_BITS)) as Epoch,
    lsn: (((bits >> INDEX_BITS) & ((1n << LSN_BITS) - 1n)) << LSN_ALIGNMENT_BITS) as Lsn,
    index: Number(bits & BigInt(INDEX_MASK)),
  };
}

// The UUID's order of free bits: 48, the version 8, 12, the variant 10, 62.
function toUuid(bits: bigint): string {
  const high = (bits >> 74n) & 0xffff_ffff_ffffn;
  const middle = (bits >> 62n) & 0xfffn;
  const whole = (((high << 16n) | (8n << 12n) | middle) << 64n) | (2n << 62n) | (bits & LOW_62);
  const hex = whole.toString(16).padStart(32, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

function fromUuid(uuid: string): bigint {
  const whole = BigInt(`0x${uuid.replaceAll('-', '')}`);
  const high = whole >> 80n;
  const middle = (whole >> 64n) & 0xfffn;
  return ((high << 74n) | (middle << 62n) | (whole & LOW_62)) & ((1n << FREE_BITS) - 1n);
}
