// Owns the way back from history to messages: row changes as the stream gave them, with tuples and relations, so that
// whoever judges and encodes those of the stream does the same with these, and the same bytes come out. What the
// catalogue says today counts: columns that are gone are left out, and so are values that no longer fit their column.
// A column that was renamed since goes by the name that it had: nothing tells that it is the same.

import { must } from '../lib/assert.ts';
import { parsePosition } from '../lib/position.ts';
import { ByteWriter } from '../protocol/byte-writer.ts';
import { canonicalTableChannel } from '../protocol/channel-name.ts';
import type { RowEntry, RowOperation, Transaction } from '../replication/wal-entry.ts';
import type { ChangeMessage } from './change-message.ts';
import { CommitTimeFormat } from './commit-time.ts';
import type { StoredChange } from './stored-change.ts';
import { readStoredRow } from './stored-row.ts';
import { type StoredTable, type StoredVersion, StoredVersions } from './stored-table.ts';
import { writeTuple } from './stored-tuple.ts';
import { middleOf, writeTruncation } from './translator.ts';
import type { TypeResolver } from './type-resolver.ts';

export type StoredChangesOptions = {
  readonly types: TypeResolver;
  /** Payloads above this are cut to the key, as those are that were cut before. */
  readonly maxPayloadBytes: number;
};

type Place = Pick<ChangeMessage, 'transaction' | 'position' | 'messageId' | 'timestamp'> & { readonly index: number };
type RowChange = StoredChange & { readonly op: RowOperation };

export class StoredChanges {
  readonly #options: StoredChangesOptions;
  readonly #tables = new WeakMap<StoredTable, StoredVersions>();
  readonly #times = new CommitTimeFormat();
  #transaction: Transaction | undefined;

  constructor(options: StoredChangesOptions) {
    this.#options = options;
  }

  /**
   * The messages of `rows`, which are changes of `table`, in their order; `idOf` gives the id of a position. A version of
   * the table is one Relation as long as `table` is the same object. Of a transaction the low 32 bits are known as in
   * the stream; 0 where history does not know it.
   */
  async restore(
    table: StoredTable,
    rows: readonly StoredChange[],
    idOf: (position: string) => string,
  ): Promise<ChangeMessage[]> {
    const versions = await this.#versionsOf(table);
    const out = new ByteWriter(sizeOf(rows));
    return rows.map((row) => {
      const place = this.#placeOf(row, idOf);
      return isRow(row) ? this.#row(out, table, versions, row, place) : truncation(out, table, versions, place);
    });
  }

  async #versionsOf(table: StoredTable): Promise<StoredVersions> {
    let versions = this.#tables.get(table);
    if (versions === undefined) {
      versions = new StoredVersions(table);
      this.#tables.set(table, versions);
    }
    await versions.refresh(this.#options.types);
    return versions;
  }

  #placeOf({ position, xid, commitMicros }: StoredChange, idOf: (position: string) => string): Place {
    const { epoch, lsn, index } = must(parsePosition(position), `a position in ${position}`);
    if (this.#transaction?.lsn !== lsn || this.#transaction.epoch !== epoch) {
      this.#transaction = { epoch, lsn, xid: Number(BigInt.asUintN(32, xid ?? 0n)), commitMicros };
    }
    return {
      transaction: this.#transaction,
      position: position as Place['position'],
      messageId: idOf(position),
      timestamp: this.#times.format(commitMicros),
      index,
    };
  }

  #row(out: ByteWriter, table: StoredTable, versions: StoredVersions, change: RowChange, place: Place): ChangeMessage {
    const row = readStoredRow(table, versions.types, change);
    const { relation, encoder } = versions.of(row.shape);
    const entry: RowEntry = {
      kind: 'row',
      transaction: place.transaction,
      index: place.index,
      relation,
      operation: change.op,
      newTuple: row.fresh === null ? null : writeTuple(out, row.fresh),
      oldTuple: row.old === null ? null : writeTuple(out, row.old),
    };
    const payload = this.#payload(out, encoder, entry, middleOf(place, change.op), row.isCut);
    return messageOf(table, relation, change.op, place, { payload, row: { entry, encoder } });
  }

  #payload(
    out: ByteWriter,
    encoder: StoredVersion['encoder'],
    entry: RowEntry,
    middle: string,
    isCut: boolean,
  ): Uint8Array {
    const start = out.length;
    if (!isCut) encoder.writePayload(out, entry, middle);
    if (isCut || out.length - start > this.#options.maxPayloadBytes) {
      out.length = start;
      encoder.writeTruncated(out, entry, middle);
    }
    return out.view(start);
  }
}

function isRow(change: StoredChange): change is RowChange {
  return change.op !== 'TRUNCATE';
}

function truncation(out: ByteWriter, table: StoredTable, versions: StoredVersions, place: Place): ChangeMessage {
  const { columns, key, identity = key } = table;
  const { relation } = versions.of({ isFull: false, key: identity, has: columns.map(() => true) });
  const start = out.length;
  writeTruncation(out, table, place);
  return messageOf(table, relation, 'TRUNCATE', place, { payload: out.view(start), row: null });
}

function messageOf(
  { schema, name }: StoredTable,
  relation: StoredVersion['relation'],
  event: ChangeMessage['event'],
  { transaction, position, messageId, timestamp }: Place,
  part: Pick<ChangeMessage, 'payload' | 'row'>,
): ChangeMessage {
  return {
    kind: 'change',
    channel: canonicalTableChannel({ schema, table: name }),
    relation,
    event,
    transaction,
    position,
    messageId,
    timestamp,
    payload: part.payload,
    oldImage: null,
    newImage: null,
    row: part.row,
  };
}

/** A guess that is seldom too small: texts come once as a tuple and once as JSON. */
function sizeOf(rows: readonly StoredChange[]): number {
  return rows.reduce(
    (bytes, { payload, newImage, oldImage }) =>
      bytes + 2 * payload.length + (newImage?.length ?? 0) + (oldImage?.length ?? 0) + 64,
    1024,
  );
}
