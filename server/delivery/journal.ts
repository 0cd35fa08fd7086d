// Owns the writing of history, its counts, webhook deliveries and the checkpoint: one transaction a batch, on the leader's session, its first
// statement fenced by the term. Only after its COMMIT is the batch's commit end confirmed to the slot. When
// idle, it lets WAL go that holds nothing for us, by the bounds of traps of Postgres, rule 1. It waits for
// nothing but the database.

import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Client } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { pause } from '../lib/backoff.ts';
import { fullXid } from '../lib/full-xid.ts';
import type { Logger } from '../lib/logger.ts';
import { type Epoch, endOfTransaction, formatLsn, type Lsn, type Position } from '../lib/position.ts';
import { TransactionSnapshot } from '../lib/transaction-snapshot.ts';
import { countChanges } from './change-counts.ts';
import type { DeliveryCounters } from './delivery-counters.ts';
import {
  COPY_CHANGES,
  type EncodePayload,
  encodeHistory,
  type JournaledChange,
  JSON_AS_IS,
  JSON_AS_TEXT,
} from './history-rows.ts';
import type { JournalBatch, JournalEntry, JournalQueue } from './journal-queue.ts';
import { type PlacedMessage, placeMessages, untilVisible } from './published-history.ts';
import type { StreamProgress } from './stream-progress.ts';
import { enqueueChanges, enqueueMessages, findTargets, NO_TARGETS, type WebhookTargets } from './webhook-targets.ts';

export type JournalOptions = {
  readonly client: Client;
  readonly term: bigint;
  readonly queue: JournalQueue;
  readonly epoch: Epoch;
  readonly progress: Pick<StreamProgress, 'journaled' | 'unseen'>;
  /** `may_ack` as the checkpoint holds it. */
  readonly mayAck: Lsn;
  readonly confirm: (lsn: Lsn) => void;
  /** Messages a transaction holds at most. */
  readonly maxBatchEntries: number;
  /** How long a batch waits for company, so that history costs less than a commit a change. */
  readonly lingerMs: number;
  /** Idle WAL is let go once there is more than this of it … */
  readonly idleRaiseBytes: number;
  /** … or this much time has passed. */
  readonly idleRaiseIntervalMs: number;
  /** Up to this it is the journal's own writing, and is left alone: an idle system stands still. */
  readonly idleOtherBytes: number;
  readonly isDataError: (error: unknown) => boolean;
  /** So many webhook deliveries were written, and wait. Told after their COMMIT. */
  readonly onEnqueued: (deliveries: number) => void;
  readonly counters: DeliveryCounters;
  readonly log: Logger;
};

/** Another server leads: this one must neither write nor confirm. */
export class FencedError extends Error {
  override readonly name = 'FencedError';
}

export class Journal {
  readonly #options: JournalOptions;
  #mayAck: Lsn;
  #raisedAt = performance.now();
  #busySince: number | undefined;
  #idleWalEnd: Lsn | undefined;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#mayAck = options.mayAck;
  }

  /** Whether everything handed over is written and confirmed. */
  get isIdle(): boolean {
    return this.#options.queue.isEmpty && this.#busySince === undefined;
  }

  /** Since when it waits for the database; undefined while it does not. */
  get busySince(): number | undefined {
    return this.#busySince;
  }

  /** All WAL up to `walEnd` was read and nothing of it is under way; lets it go if the bounds say so. */
  idle(walEnd: Lsn): void {
    if (!this.isIdle || !this.#mayRaise(walEnd)) return;
    this.#idleWalEnd = walEnd;
    this.#options.queue.wake();
  }

  /** Takes back what a predecessor wrote of transactions that it did not finish: they come again, whole. */
  async prepare(handledEnd: Position): Promise<void> {
    this.#busySince = performance.now();
    await this.#options.client.query('select realtime.take_back_changes($1)', [handledEnd]);
    this.#busySince = undefined;
    this.#options.progress.journaled.reset(handledEnd);
  }

  /** Writes until `signal` is aborted and the queue is empty. Rejects when the database fails or the term is over. */
  async run(signal: AbortSignal): Promise<void> {
    const { queue, lingerMs, maxBatchEntries } = this.#options;
    while (!signal.aborted || !queue.isEmpty) {
      if (queue.isEmpty) await queue.work(signal);
      else if (!signal.aborted && queue.bytes < LINGER_BELOW_BYTES) await pause(lingerMs, signal);
      if (queue.isEmpty) await this.#raiseIdle();
      else await this.#write(queue.take(maxBatchEntries));
    }
  }

  async #write(batch: JournalBatch): Promise<void> {
    this.#busySince = performance.now();
    const published = batch.entries.filter(isPublished);
    await untilVisible(this.#options.client, published);
    await this.#writeHalving(batch, JSON_AS_IS);
    this.#busySince = undefined;
    this.#options.queue.release(batch);
    this.#noteJournaled(batch);
    this.#options.counters.journaled(batch.entries.length - published.length, published.length);
    if (batch.commit !== undefined) this.#confirm(batch.commit.endLsn);
  }

  #noteJournaled({ entries, commit }: JournalBatch): void {
    const { progress, epoch } = this.#options;
    const last = entries.at(-1)?.message.position;
    if (last !== undefined) progress.journaled.reach(last);
    if (commit !== undefined) progress.journaled.reach(endOfTransaction(epoch, commit.lsn));
  }

  // jsonb cannot hold everything that a column of type json can (\u0000, numbers beyond numeric): the change
  // at fault is found by halving, and kept as text.
  async #writeHalving(batch: JournalBatch, encode: EncodePayload): Promise<void> {
    try {
      const { commit, entries, skipped } = batch;
      await this.#transaction(commit?.lsn, commit?.endLsn, async (begun) => {
        const enqueued = await this.#writeEntries(entries, begun, encode);
        await this.#raiseFloors(skipped);
        return enqueued;
      });
    } catch (error) {
      if (!this.#options.isDataError(error) || encode === JSON_AS_TEXT) throw error;
      await this.#options.client.query('rollback');
      const { entries, ...rest } = batch;
      if (entries.length <= 1) return this.#writeHalving(batch, JSON_AS_TEXT);
      const middle = entries.length >> 1;
      await this.#writeHalving({ entries: entries.slice(0, middle), commit: undefined, skipped: new Map() }, encode);
      await this.#writeHalving({ entries: entries.slice(middle), ...rest }, encode);
    }
  }

  // `may_ack` is committed before the confirmation is sent: a slot ahead of it would mean a new epoch.
  async #raiseIdle(): Promise<void> {
    const walEnd = this.#idleWalEnd;
    this.#idleWalEnd = undefined;
    if (walEnd === undefined) return;
    this.#busySince = performance.now();
    await this.#transaction(undefined, walEnd, async () => 0);
    this.#busySince = undefined;
    this.#confirm(walEnd);
  }

  #confirm(lsn: Lsn): void {
    if (lsn > this.#mayAck) this.#mayAck = lsn;
    this.#raisedAt = performance.now();
    this.#options.confirm(lsn);
  }

  #mayRaise(walEnd: Lsn): boolean {
    const { idleRaiseBytes, idleRaiseIntervalMs, idleOtherBytes } = this.#options;
    const held = walEnd - this.#mayAck;
    if (held <= BigInt(idleOtherBytes)) return false; // our own, and letting go of it would write more
    if (held > BigInt(idleRaiseBytes)) return true;
    return performance.now() - this.#raisedAt > idleRaiseIntervalMs;
  }

  async #transaction(
    handled: Lsn | undefined,
    mayAck: Lsn | undefined,
    write: (begun: Begun) => Promise<number>,
  ): Promise<void> {
    const { client, term, progress, onEnqueued } = this.#options;
    const row = await begin(client, checkpointOf(term, handled, mayAck));
    if (row === undefined) throw new FencedError(`term ${term} is over: another server leads`);
    const snapshot = new TransactionSnapshot(row.snapshot);
    const enqueued = await write({ xmax: snapshot.xmax, hasWebhooks: row.has_webhooks });
    await client.query('commit');
    progress.unseen.forget(snapshot);
    if (enqueued > 0) onEnqueued(enqueued);
  }

  // Returns how many webhook deliveries it made. What is counted and what is written go by the same targets.
  async #writeEntries(entries: readonly JournalEntry[], begun: Begun, encode: EncodePayload): Promise<number> {
    const { client } = this.#options;
    const [changes, published] = [entries.filter(isChange), entries.filter(isPublished)];
    const targets = begun.hasWebhooks ? await findTargets(client, entries) : NO_TARGETS;
    await this.#copy(changes, begun.xmax, encode, targets);
    const ofChanges = await enqueueChanges(client, changes, targets);
    const ofMessages = await enqueueMessages(client, published, targets);
    await placeMessages(client, published, targets);
    return ofChanges + ofMessages;
  }

  // Whoever resumes has to know that something of a channel is missing.
  async #raiseFloors(skipped: JournalBatch['skipped']): Promise<void> {
    if (skipped.size === 0) return;
    const relations = [...skipped.keys()].map((channel) => channel.slice('db:'.length));
    await this.#options.client.query(RAISE_FLOORS, [relations, [...skipped.values()]]);
  }

  async #copy(
    changes: readonly JournaledChange[],
    xmax: bigint,
    encode: EncodePayload,
    targets: WebhookTargets,
  ): Promise<void> {
    if (changes.length === 0) return;
    const { client } = this.#options;
    const rows = encodeHistory(changes, (xid) => fullXid(xid, xmax), encode, targets);
    await pipeline(Readable.from(rows, { objectMode: true, highWaterMark: 1 }), client.query(copyFrom(COPY_CHANGES)));
    await countChanges(
      client,
      changes.map(({ message }) => message),
      targets,
    );
  }
}

function isChange(entry: JournalEntry): entry is JournalEntry & JournaledChange {
  return entry.message.kind === 'change';
}

function isPublished(entry: JournalEntry): entry is JournalEntry & PlacedMessage {
  return entry.message.kind === 'published';
}

const RAISE_FLOORS = `select realtime.raise_floors('changes', 'not_kept', $1, $2)`;

/** Below this much a batch waits for company. */
const LINGER_BELOW_BYTES = 256 * 1024;

type Begun = {
  readonly xmax: bigint;
  /** Whether anything may have to be sent at all. */
  readonly hasWebhooks: boolean;
};

type BegunRow = { readonly snapshot: string; readonly has_webhooks: boolean };

/** Begins a transaction with its fenced first statement, in one round trip: it may not lie idle while this process is busy. */
async function begin(client: Client, checkpoint: string): Promise<BegunRow | undefined> {
  const results = await client.query(`begin; set local synchronous_commit = on; ${checkpoint}`);
  return (results as unknown as { rows: BegunRow[] }[])[2]?.rows[0];
}

/** The fenced first statement of every journal transaction; several statements in one take no parameters. */
function checkpointOf(term: bigint, handled: Lsn | undefined, mayAck: Lsn | undefined): string {
  const lsn = (value: Lsn | undefined): string => (value === undefined ? 'null' : `'${formatLsn(value)}'::pg_lsn`);
  return `
  update realtime.checkpoint set
    handled = greatest(handled, ${lsn(handled)}), may_ack = greatest(may_ack, ${lsn(mayAck)}), updated_at = pg_catalog.now()
  where term = ${term}::bigint
  returning pg_catalog.pg_current_snapshot()::text as snapshot, exists (select from realtime.webhook_endpoints) as has_webhooks`;
}
