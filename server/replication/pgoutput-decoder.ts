// Owns the decoding of pgoutput, protocol version 1, with logical messages
// (https://www.postgresql.org/docs/18/protocol-logicalrep-message-formats.html). It keeps the relations and
// the transaction in flight, and counts the index that makes a position: rows, truncated tables and
// transactional messages only, so that decoding again from elsewhere gives the same numbers.

import type { Epoch, Lsn } from '../lib/position.ts';
import type { Relation, RelationColumn, ReplicaIdentity } from './relation.ts';
import type { RowEntry, RowOperation, Transaction, Tuple, WalEntry } from './wal-entry.ts';

const TAG = {
  begin: 0x42,
  commit: 0x43,
  delete: 0x44,
  insert: 0x49,
  key: 0x4b,
  logicalMessage: 0x4d,
  newTuple: 0x4e,
  oldTuple: 0x4f,
  origin: 0x4f,
  relation: 0x52,
  truncate: 0x54,
  update: 0x55,
  type: 0x59,
} as const;

const BEGIN_BYTES = 21;
const COMMIT_BYTES = 26;
/** Tag, relation, and the tag of a tuple. */
const ROW_HEADER_BYTES = 6;
const TRUNCATE_HEADER_BYTES = 6;
/** What a row of Postgres has at most (htup_details.h, MaxTupleAttributeNumber). */
const MAX_COLUMNS = 1664;
const COLUMN_KEY_FLAG = 1;
const MESSAGE_TRANSACTIONAL_FLAG = 1;
const IDENTITIES: Record<string, ReplicaIdentity> = { d: 'key', i: 'key', f: 'full', n: 'none' };

/** The stream broke its own grammar: the connection has to be opened again. */
export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

export type DecoderOptions = {
  readonly epoch: Epoch;
  /** Transactions that committed at or below this are dropped whole: they are journaled already. */
  readonly handled: Lsn;
};

export class PgoutputDecoder {
  readonly #options: DecoderOptions;
  readonly #relations = new Map<number, Relation>();
  #transaction: Transaction | undefined;
  #index = 0;
  #isHandled = false;

  constructor(options: DecoderOptions) {
    this.#options = options;
  }

  /** Whether a transaction has begun and not ended. */
  get isInTransaction(): boolean {
    return this.#transaction !== undefined;
  }

  /**
   * Decodes `bytes[start, end)`; undefined where it gives nothing to hand on. Reads nothing outside.
   * Throws DecodeError where the message is not whole or not understood.
   */
  decode(bytes: Buffer, start: number, end: number): WalEntry | undefined {
    needBytes(start, end, 1);
    switch (bytes[start]) {
      case TAG.insert:
        return this.#row('INSERT', bytes, start, end);
      case TAG.update:
        return this.#row('UPDATE', bytes, start, end);
      case TAG.delete:
        return this.#row('DELETE', bytes, start, end);
      case TAG.begin:
        return this.#begin(bytes, start, end);
      case TAG.commit:
        return this.#commit(bytes, start, end);
      case TAG.relation:
        return this.#relation(bytes, start, end);
      case TAG.truncate:
        return this.#truncate(bytes, start, end);
      case TAG.logicalMessage:
        return this.#logicalMessage(bytes, start, end);
      case TAG.origin:
      case TAG.type:
        return undefined;
      default:
        throw new DecodeError(`unknown pgoutput message ${bytes[start]}`);
    }
  }

  #begin(bytes: Buffer, start: number, end: number): undefined {
    needBytes(start, end, BEGIN_BYTES);
    if (this.#transaction !== undefined) throw new DecodeError('a transaction began inside another');
    const lsn = bytes.readBigUInt64BE(start + 1) as Lsn;
    const commitMicros = bytes.readBigInt64BE(start + 9);
    this.#transaction = { epoch: this.#options.epoch, lsn, xid: bytes.readUInt32BE(start + 17), commitMicros };
    this.#index = 0;
    this.#isHandled = lsn <= this.#options.handled;
  }

  #commit(bytes: Buffer, start: number, end: number): WalEntry | undefined {
    needBytes(start, end, COMMIT_BYTES);
    const transaction = this.#current();
    const lsn = bytes.readBigUInt64BE(start + 2);
    if (lsn !== transaction.lsn) throw new DecodeError('a commit does not match its begin');
    this.#transaction = undefined;
    // Also handed on where it was handled before: what is journaled still has to be acknowledged.
    return { kind: 'commit', transaction, endLsn: bytes.readBigUInt64BE(start + 10) as Lsn };
  }

  #row(operation: RowOperation, bytes: Buffer, start: number, end: number): RowEntry | undefined {
    const transaction = this.#current();
    const index = this.#index++;
    if (this.#isHandled) return undefined;
    needBytes(start, end, ROW_HEADER_BYTES);
    const relation = this.#relationOf(bytes.readUInt32BE(start + 1));
    let at = start + 5;
    let oldTuple: Tuple | null = null;
    if (bytes[at] === TAG.key || bytes[at] === TAG.oldTuple) {
      const oldEnd = operation === 'UPDATE' ? endOfTuple(bytes, at + 1, end) : end;
      oldTuple = tupleOf(relation, bytes, at + 1, oldEnd);
      at = oldEnd;
    }
    if (operation === 'DELETE') {
      if (oldTuple === null) throw new DecodeError('a deleted row without its old tuple');
      return { kind: 'row', transaction, index, relation, operation, newTuple: null, oldTuple };
    }
    if (at >= end || bytes[at] !== TAG.newTuple) throw new DecodeError('a row without its new tuple');
    const newTuple = tupleOf(relation, bytes, at + 1, end);
    return { kind: 'row', transaction, index, relation, operation, newTuple, oldTuple };
  }

  #truncate(bytes: Buffer, start: number, end: number): WalEntry | undefined {
    needBytes(start, end, TRUNCATE_HEADER_BYTES);
    const transaction = this.#current();
    const count = bytes.readUInt32BE(start + 1);
    const index = this.#index;
    this.#index += count;
    if (this.#isHandled) return undefined;
    needBytes(start, end, TRUNCATE_HEADER_BYTES + count * 4);
    const relations: Relation[] = [];
    for (let i = 0; i < count; i++) {
      relations.push(this.#relationOf(bytes.readUInt32BE(start + TRUNCATE_HEADER_BYTES + i * 4)));
    }
    return { kind: 'truncate', transaction, index, relations };
  }

  // Anyone may emit logical messages, so they are never obeyed; transactional ones count for the index.
  #logicalMessage(bytes: Buffer, start: number, end: number): undefined {
    needBytes(start, end, 2);
    if (((bytes[start + 1] as number) & MESSAGE_TRANSACTIONAL_FLAG) !== 0) this.#index++;
  }

  #relation(bytes: Buffer, start: number, end: number): undefined {
    const reader = new FieldReader(bytes.subarray(start + 1, end));
    const oid = reader.uint32();
    const schema = reader.text() || 'pg_catalog';
    const name = reader.text();
    const identity = IDENTITIES[String.fromCharCode(reader.uint8())];
    if (identity === undefined) throw new DecodeError(`unknown replica identity of ${schema}.${name}`);
    const columns: RelationColumn[] = [];
    const count = reader.uint16();
    if (count > MAX_COLUMNS) throw new DecodeError(`${schema}.${name} has ${count} columns`);
    while (columns.length < count) columns.push(readColumn(reader));
    this.#relations.set(oid, { oid, schema, name, identity, columns });
  }

  #current(): Transaction {
    if (this.#transaction === undefined) throw new DecodeError('a change outside a transaction');
    return this.#transaction;
  }

  #relationOf(oid: number): Relation {
    const relation = this.#relations.get(oid);
    if (relation === undefined) throw new DecodeError(`a row of relation ${oid}, which was not announced`);
    return relation;
  }
}

function readColumn(reader: FieldReader): RelationColumn {
  const flags = reader.uint8();
  const name = reader.text();
  const typeOid = reader.uint32();
  reader.uint32(); // the type modifier, which does not change how a value prints
  return { name, typeOid, isKey: (flags & COLUMN_KEY_FLAG) !== 0 };
}

function needBytes(start: number, end: number, count: number): void {
  if (end - start < count) throw new DecodeError('a message ends too early');
}

/** The tuple in `bytes[offset, end)`, of as many columns as its relation has. */
function tupleOf(relation: Relation, bytes: Buffer, offset: number, end: number): Tuple {
  needBytes(offset, end, 2);
  if (bytes.readUInt16BE(offset) !== relation.columns.length) {
    throw new DecodeError(`a row does not have the columns of ${relation.schema}.${relation.name}`);
  }
  return { bytes, offset, end };
}

const TUPLE_TEXT = 0x74;
const TUPLE_BINARY = 0x62;

/** The offset behind the tuple at `offset`, with another section behind it. */
function endOfTuple(bytes: Buffer, offset: number, end: number): number {
  needBytes(offset, end, 2);
  let at = offset + 2;
  for (let left = bytes.readUInt16BE(offset); left > 0 && at < end; left--) {
    const kind = bytes[at];
    if (kind !== TUPLE_TEXT && kind !== TUPLE_BINARY) at += 1;
    else if (at + 5 > end) throw new DecodeError('a tuple is longer than its message');
    else at += 5 + bytes.readUInt32BE(at + 1);
  }
  if (at >= end) throw new DecodeError('a tuple is longer than its message');
  return at;
}

/** Reads the fields of a rare message one behind the other; its bytes end where the message does. */
class FieldReader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.#take(2));
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#take(4));
  }

  text(): string {
    const end = this.#bytes.indexOf(0, this.#at);
    if (end < 0) throw new DecodeError('a text without its end');
    const text = this.#bytes.toString('utf8', this.#at, end);
    this.#at = end + 1;
    return text;
  }

  #take(count: number): number {
    const at = this.#at;
    needBytes(at, this.#bytes.length, count);
    this.#at = at + count;
    return at;
  }
}
