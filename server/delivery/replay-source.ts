// Owns one channel's history as messages: slices of it, with rows rebuilt as the stream had them, by the columns that the
// table has now.

import type { Message } from '../changes/change-message.ts';
import type { PublishedMessage } from '../changes/published-message.ts';
import type { StoredChange } from '../changes/stored-change.ts';
import type { StoredChanges } from '../changes/stored-changes.ts';
import type { StoredTable } from '../changes/stored-table.ts';
import { must } from '../lib/assert.ts';
import { type Lsn, type Position, parsePosition } from '../lib/position.ts';
import type { TransactionSnapshot } from '../lib/transaction-snapshot.ts';
import type { ReplayQuestion, ReplayReader, ReplaySlice, StoredMessage } from '../messages/replay-reader.ts';
import type { TableRules } from '../policies/table-rules.ts';
import type { CanonicalChannel } from '../protocol/channel-name.ts';
import type { SliceCache } from './slice-cache.ts';

export type ReplaySourceOptions = {
  readonly reader: Pick<ReplayReader, 'changes' | 'messages'>;
  readonly restorer: Pick<StoredChanges, 'restore'>;
  readonly rules: { read(oids: readonly number[]): Promise<ReadonlyMap<number, TableRules>> };
  readonly cache: SliceCache;
  /** Gives the id of the change at a position. */
  readonly idOf: () => (position: string) => string;
};

export type ReplayedSlice = Omit<ReplaySlice<unknown>, 'stored'> & {
  readonly messages: readonly Message[];
  /** How far the slice went, also where nothing of it is told; undefined where it is empty. */
  readonly last: Position | undefined;
};

export class ReplaySource {
  readonly #options: ReplaySourceOptions;
  readonly #channel: CanonicalChannel;
  readonly #tableOid: number | null;
  #table: StoredTable | undefined;

  /** `tableOid` is null for channels that are no table. */
  constructor(options: ReplaySourceOptions, channel: CanonicalChannel, tableOid: number | null) {
    this.#options = options;
    this.#channel = channel;
    this.#tableOid = tableOid;
  }

  /**
   * The next slice, without what `contained` holds already; undefined where the table is gone. Rejects when the
   * database cannot be asked.
   */
  read(
    question: Omit<ReplayQuestion, 'channel'>,
    contained: TransactionSnapshot | undefined,
  ): Promise<ReplayedSlice | undefined> {
    if (question.until !== undefined || contained !== undefined) return this.#read(question, contained);
    return this.#options.cache.get(this.#channel, question.after, () => this.#read(question, contained));
  }

  async #read(
    question: Omit<ReplayQuestion, 'channel'>,
    contained: TransactionSnapshot | undefined,
  ): Promise<ReplayedSlice | undefined> {
    const asked = { ...question, channel: this.#channel };
    if (this.#tableOid === null) {
      const slice = await this.#options.reader.messages(asked);
      return replayed(
        slice,
        slice.stored.map((stored) => published(stored, this.#channel)),
      );
    }
    const slice = await this.#options.reader.changes(asked);
    const wanted = slice.stored.filter(({ xid }) => xid === null || contained?.contains(xid) !== true);
    if (wanted.length === 0) return replayed(slice, []);
    const table = await this.#tableOf(this.#tableOid);
    if (table === undefined) return undefined;
    return replayed(slice, await this.#restore(table, wanted));
  }

  #restore(table: StoredTable, wanted: readonly StoredChange[]): Promise<readonly Message[]> {
    return this.#options.restorer.restore(table, wanted, this.#options.idOf());
  }

  // Statements are kept by the object: it stays the same while the table does.
  async #tableOf(oid: number): Promise<StoredTable | undefined> {
    const rules = (await this.#options.rules.read([oid])).get(oid);
    if (rules === undefined) return undefined;
    const table = storedTable(rules);
    if (JSON.stringify(table) !== JSON.stringify(this.#table)) this.#table = table;
    return this.#table;
  }
}

function storedTable({ oid, schema, name, columns }: TableRules): StoredTable {
  const all = [...columns.values()];
  return {
    oid,
    schema,
    name,
    columns: all.map(({ name, typeOid }) => ({ name, typeOid })),
    key: all.filter(({ isPrimaryKey }) => isPrimaryKey).map(({ name }) => name),
    identity: all.filter(({ isIdentity }) => isIdentity).map(({ name }) => name),
  };
}

function replayed(slice: ReplaySlice<{ readonly position: string }>, messages: readonly Message[]): ReplayedSlice {
  const { floor, isEnd, stored } = slice;
  return { floor, isEnd, messages, last: stored.at(-1)?.position as Position | undefined };
}

const encoder = new TextEncoder();

function published(stored: StoredMessage, channel: CanonicalChannel): PublishedMessage {
  const { position, messageId, event, senderId, connectionId, timestamp } = stored;
  const { epoch, lsn } = must(parsePosition(position), `a position in ${position}`);
  return {
    kind: 'published',
    channel,
    event,
    messageId,
    timestamp,
    payload: encoder.encode(stored.payload),
    senderId,
    connectionId,
    position: position as Position,
    transaction: { epoch, lsn: lsn as Lsn, xid: 0, commitMicros: 0n },
  };
}
