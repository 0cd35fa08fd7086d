// Owns the step from decoded entries to messages: names the channel, numbers the position, encodes the
// payload. One instance serves one stream, in order. Rows of realtime.messages are published messages, not
// row changes of a watched table; nothing else of that schema is a message.

import type { Epoch, Position } from '../lib/position.ts';
import { hex32, positionPrefix } from '../lib/position.ts';
import { ByteWriter } from '../protocol/byte-writer.ts';
import { type CanonicalChannel, canonicalTableChannel } from '../protocol/channel-name.ts';
import type { RowEvent } from '../protocol/client-frame.ts';
import { type MessageIdMask, messageIds } from '../protocol/message-id.ts';
import { holdsComposite } from '../protocol/value-type.ts';
import type { Relation } from '../replication/relation.ts';
import type { CommitEntry, RowEntry, Transaction, TruncateEntry, WalBatch } from '../replication/wal-entry.ts';
import type { ChangeMessage, Message, TranslatedBatch } from './change-message.ts';
import { CommitTimeFormat } from './commit-time.ts';
import type { PublishedMessage } from './published-message.ts';
import { PublishedRows } from './published-rows.ts';
import { RowEncoder } from './row-encoder.ts';
import type { TypeResolver } from './type-resolver.ts';

export type TranslatorOptions = {
  readonly epoch: Epoch;
  readonly messageIdMask: MessageIdMask;
  readonly types: TypeResolver;
  /** The primary key of a table, asked where the replica identity is the whole row. */
  readonly readPrimaryKey: (oid: number) => Promise<readonly string[]>;
  /** Payloads above this are cut to the key. */
  readonly maxPayloadBytes: number;
};

type TableContext = {
  readonly channel: CanonicalChannel;
  readonly encoder: RowEncoder;
  /** Whether it holds as long as the Relation does; otherwise it is made anew for each batch. */
  readonly isLasting: boolean;
};

type TransactionContext = {
  readonly transaction: Transaction;
  readonly positionPrefix: string;
  readonly idOf: (index: number) => string;
  readonly timestamp: string;
};

const OWN_SCHEMA = 'realtime';
const INTAKE = 'messages';
/** Text shrinks on its way to JSON only by the escapes of nested values: above this it is not even tried. */
const HOPELESS_FACTOR = 8;

export class Translator {
  readonly #options: TranslatorOptions;
  readonly #tables = new WeakMap<Relation, TableContext>();
  readonly #times = new CommitTimeFormat();
  readonly #published = new PublishedRows();
  #context: TransactionContext | undefined;

  constructor(options: TranslatorOptions) {
    this.#options = options;
  }

  /** The messages of `batch`, in order. Waits only for types that it meets for the first time. */
  async translate(batch: WalBatch): Promise<TranslatedBatch> {
    await this.#prepare(batch);
    const out = new ByteWriter(batch.bytes + (batch.bytes >> 1) + 1024);
    const messages: Message[] = [];
    let commit: CommitEntry | undefined;
    for (const entry of batch.entries) {
      if (entry.kind === 'commit') commit = entry;
      else if (entry.kind === 'truncate') this.#truncate(out, entry, messages);
      else if (entry.relation.schema !== OWN_SCHEMA) messages.push(this.#row(out, entry));
      else if (isIntake(entry)) messages.push(this.#publication(out, entry));
    }
    return { messages, commit };
  }

  async #prepare(batch: WalBatch): Promise<void> {
    const fresh = new Set<Relation>();
    let last: Relation | undefined;
    for (const entry of batch.entries) {
      if (entry.kind !== 'row' || entry.relation === last || fresh.has(entry.relation)) continue;
      if (entry.relation.schema === OWN_SCHEMA) continue;
      const { relation } = entry;
      last = relation;
      fresh.add(relation);
      if (this.#tables.get(relation)?.isLasting !== true) this.#tables.set(relation, await this.#read(relation));
    }
  }

  async #read(relation: Relation): Promise<TableContext> {
    const { types: resolver, readPrimaryKey } = this.#options;
    const types = await resolver.resolve(relation.columns.map((column) => column.typeOid));
    const key = relation.identity === 'full' ? await readPrimaryKey(relation.oid) : undefined;
    const encoder = new RowEncoder(relation, types, key);
    return { channel: channelOf(relation), encoder, isLasting: !types.some(holdsComposite) };
  }

  #row(out: ByteWriter, row: RowEntry): ChangeMessage {
    const { channel, encoder } = this.#tables.get(row.relation) as TableContext;
    const context = this.#contextOf(row.transaction);
    const middle = middleOf(context, row.operation);
    const start = out.length;
    const { maxPayloadBytes } = this.#options;
    let isCut = textBytes(row) > maxPayloadBytes * HOPELESS_FACTOR;
    if (!isCut) {
      encoder.writePayload(out, row, middle);
      isCut = out.length - start > maxPayloadBytes;
    }
    if (isCut) {
      out.length = start;
      encoder.writeTruncated(out, row, middle);
    }
    const payload = out.view(start);
    const images = encoder.images(out, isCut);
    return this.#message(context, {
      channel,
      relation: row.relation,
      event: row.operation,
      index: row.index,
      payload,
      ...images,
      row: { entry: row, encoder },
    });
  }

  #publication(out: ByteWriter, row: RowEntry): PublishedMessage {
    const { transaction, positionPrefix: prefix } = this.#contextOf(row.transaction);
    return { ...this.#published.read(out, row), transaction, position: (prefix + hex32(row.index)) as Position };
  }

  #truncate(out: ByteWriter, entry: TruncateEntry, messages: Message[]): void {
    const context = this.#contextOf(entry.transaction);
    for (const [offset, relation] of entry.relations.entries()) {
      const start = out.length;
      writeTruncation(out, relation, context);
      const part = { channel: channelOf(relation), relation, event: 'TRUNCATE' as const, index: entry.index + offset };
      const nothing = { oldImage: null, newImage: null, row: null };
      messages.push(this.#message(context, { ...part, payload: out.view(start), ...nothing }));
    }
  }

  #message(
    context: TransactionContext,
    part: Pick<ChangeMessage, 'channel' | 'relation' | 'event' | 'payload' | 'oldImage' | 'newImage' | 'row'> & {
      index: number;
    },
  ): ChangeMessage {
    return {
      kind: 'change',
      channel: part.channel,
      relation: part.relation,
      event: part.event,
      transaction: context.transaction,
      position: (context.positionPrefix + hex32(part.index)) as Position,
      messageId: context.idOf(part.index),
      timestamp: context.timestamp,
      payload: part.payload,
      oldImage: part.oldImage,
      newImage: part.newImage,
      row: part.row,
    };
  }

  #contextOf(transaction: Transaction): TransactionContext {
    if (this.#context?.transaction !== transaction) this.#context = this.#begin(transaction);
    return this.#context;
  }

  #begin(transaction: Transaction): TransactionContext {
    const { epoch, messageIdMask } = this.#options;
    return {
      transaction,
      positionPrefix: positionPrefix(epoch, transaction.lsn),
      idOf: messageIds(messageIdMask, epoch, transaction.lsn),
      timestamp: this.#times.format(transaction.commitMicros),
    };
  }
}

/** The part of payloads that all rows of a transaction and event share. */
export function middleOf({ timestamp }: { readonly timestamp: string }, event: RowEvent): string {
  return `"commit_timestamp":"${timestamp}","eventType":"${event}",`;
}

/** Appends the payload of a TRUNCATE. */
export function writeTruncation(
  out: ByteWriter,
  { schema, name }: Pick<Relation, 'schema' | 'name'>,
  at: { readonly timestamp: string },
): void {
  out.text(`{"schema":${JSON.stringify(schema)},"table":${JSON.stringify(name)},`);
  out.ascii(`${middleOf(at, 'TRUNCATE')}"new":null,"old":null}`);
}

function isIntake({ relation, operation }: RowEntry): boolean {
  return relation.name === INTAKE && operation === 'INSERT';
}

/** What the server sent of the row, in bytes. */
export function textBytes({ newTuple, oldTuple }: RowEntry): number {
  const sizeOf = (tuple: RowEntry['newTuple']): number => (tuple === null ? 0 : tuple.end - tuple.offset);
  return sizeOf(newTuple) + sizeOf(oldTuple);
}

function channelOf(relation: Relation): CanonicalChannel {
  return canonicalTableChannel({ schema: relation.schema, table: relation.name });
}
