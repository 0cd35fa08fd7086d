// Owns the two small messages of the streaming replication protocol that keep a stream alive
// (https://www.postgresql.org/docs/18/protocol-replication.html): the keepalive that comes in, the standby
// status update that goes out. Positions are exact: what is flushed is what may be forgotten.

import { type Lsn, toLsn } from '../lib/position.ts';

export type Keepalive = { readonly walEnd: Lsn; readonly isReplyRequested: boolean };

/** Microseconds between 1970-01-01 and 2000-01-01, the epochs of Unix and Postgres. */
export const POSTGRES_EPOCH_MICROS = 946_684_800_000_000n;

const COPY_DATA = 0x64;
const STATUS_UPDATE = 0x72;
const STATUS_BYTES = 34;

/** Reads the body of a primary keepalive, behind its tag. */
export function readKeepalive(bytes: Buffer, start: number): Keepalive {
  return { walEnd: toLsn(bytes.readBigUInt64BE(start)), isReplyRequested: bytes[start + 16] === 1 };
}

/** A CopyData message that confirms `flushed`; with `isReplyRequested` the server answers with a keepalive. */
export function statusUpdate(flushed: Lsn, nowMs: number, isReplyRequested: boolean): Buffer {
  const message = Buffer.alloc(1 + 4 + STATUS_BYTES);
  message[0] = COPY_DATA;
  message.writeUInt32BE(4 + STATUS_BYTES, 1);
  message[5] = STATUS_UPDATE;
  message.writeBigUInt64BE(flushed, 6); // written
  message.writeBigUInt64BE(flushed, 14); // flushed
  message.writeBigUInt64BE(flushed, 22); // applied
  message.writeBigInt64BE(BigInt(Math.round(nowMs * 1000)) - POSTGRES_EPOCH_MICROS, 30);
  message[38] = isReplyRequested ? 1 : 0;
  return message;
}
