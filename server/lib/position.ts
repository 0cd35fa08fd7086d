// Owns the arithmetic and the text forms of LSN, epoch and position. Pure, and runs in a browser.
// A position is (epoch, commit LSN, index in the transaction); as text its byte order is its order.
// LSNs pass 2^53, so they are bigints. The source: https://www.postgresql.org/docs/18/datatype-pg-lsn.html

import type { Brand } from './brand.ts';

/** A WAL address, 64 bits unsigned. */
export type Lsn = Brand<bigint, 'Lsn'>;
/** `<epoch, 8 hex>-<commit LSN, 16 hex>-<index, 8 hex>`, lower case. */
export type Position = Brand<string, 'Position'>;
/** Seconds-like number, 32 bits, that grows whenever earlier positions can no longer be trusted. */
export type Epoch = Brand<number, 'Epoch'>;

export type PositionParts = { readonly epoch: Epoch; readonly lsn: Lsn; readonly index: number };

export const ZERO_LSN = 0n as Lsn;
const MAX_LSN = 0xffff_ffff_ffff_ffffn;
const MAX_UINT32 = 0xffff_ffff;
const LSN_TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;
const POSITION_TEXT = /^([0-9a-f]{8})-([0-9a-f]{16})-([0-9a-f]{8})$/;

/** Brands `value` as an LSN. Throws outside 64 bits unsigned. */
export function toLsn(value: bigint): Lsn {
  if (value < 0n || value > MAX_LSN) throw new RangeError(`LSN out of range: ${value}`);
  return value as Lsn;
}

/** Reads Postgres' form `16/B374D848`; undefined if it is not one. */
export function parseLsn(text: string): Lsn | undefined {
  const match = LSN_TEXT.exec(text);
  if (!match) return undefined;
  return ((BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`)) as Lsn;
}

/** Writes Postgres' form `16/B374D848`. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffff_ffffn).toString(16).toUpperCase()}`;
}

/** Brands `value` as an epoch. Throws outside 32 bits unsigned. */
export function toEpoch(value: number): Epoch {
  if (!Number.isInteger(value) || value < 0 || value > MAX_UINT32) throw new RangeError(`epoch out of range: ${value}`);
  return value as Epoch;
}

/** The epoch after `previous`: seconds of the clock, yet always greater, so that a restored dump never meets old numbers. */
export function nextEpoch(previous: Epoch | undefined, unixSeconds: number): Epoch {
  return toEpoch(Math.max((previous ?? 0) + 1, Math.floor(unixSeconds)));
}

/** The part of a position that all changes of one transaction share, ending in `-`. */
export function positionPrefix(epoch: Epoch, lsn: Lsn): string {
  return `${hex32(epoch)}-${lsn.toString(16).padStart(16, '0')}-`;
}

export function formatPosition(parts: PositionParts): Position {
  return (positionPrefix(parts.epoch, parts.lsn) + hex32(parts.index)) as Position;
}

/** Reads a position; undefined if the text is not one. */
export function parsePosition(text: string): PositionParts | undefined {
  const match = POSITION_TEXT.exec(text);
  if (!match) return undefined;
  const epoch = Number.parseInt(match[1] as string, 16) as Epoch;
  return { epoch, lsn: BigInt(`0x${match[2]}`) as Lsn, index: Number.parseInt(match[3] as string, 16) };
}

/** The epoch of a position. */
export function epochOf(position: Position): Epoch {
  return Number.parseInt(position.slice(0, 8), 16) as Epoch;
}

/** The position after everything of the transaction that committed at `lsn`: no change of it lies above. */
export function endOfTransaction(epoch: Epoch, lsn: Lsn): Position {
  return `${positionPrefix(epoch, lsn)}ffffffff` as Position;
}

/** The two digits of each byte: looked up, they cost half of what `toString` and `padStart` take. */
const BYTE_DIGITS: readonly string[] = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** Eight lower-case hex digits of a 32-bit unsigned number. */
export function hex32(value: number): string {
  return `${digitsOf(value >>> 24)}${digitsOf(value >>> 16)}${digitsOf(value >>> 8)}${digitsOf(value)}`;
}

function digitsOf(value: number): string {
  return BYTE_DIGITS[value & 0xff] as string;
}
