// Owns the walk of a batch: translate, decide the audience, fan out, hand to the journal. All waiting
// happens before the fan-out of a run, which is one synchronous turn; so whoever subscribes between two
// turns gets everything above `position`, and nothing at or below it. Sockets hold the WAL for a bounded
// time only, the journal for as long as it is behind its bound.

import type { ChangeMessage } from '../changes/change-message.ts';
import type { Translator } from '../changes/translator.ts';
import type { Hub } from '../hub/hub.ts';
import { pause } from '../lib/backoff.ts';
import type { Logger } from '../lib/logger.ts';
import { endOfTransaction, type Position } from '../lib/position.ts';
import type { TableAccess } from '../policies/table-access.ts';
import type { CommitEntry, WalBatch } from '../replication/wal-entry.ts';
import { ADMINS_ONLY, type Audience, audienceOf } from './audience.ts';
import type { DeliveryCounters } from './delivery-counters.ts';
import { fanOut } from './fan-out.ts';
import { FRAME_OVERHEAD_BYTES } from './frame-variant.ts';
import type { JournalQueue } from './journal-queue.ts';

export type DispatcherOptions = {
  readonly hub: Hub;
  readonly translator: Translator;
  readonly access: TableAccess;
  readonly queue: JournalQueue;
  /** Where delivery stood before: nothing at or below is fanned out again by this process. */
  readonly position: Position;
  /** Longest wait for sockets that are behind but draining, a run. */
  readonly drainWaitMs: number;
  /** A run has so many bytes at most; with `drainWaitMs` it says how fast a reader must be in a burst. */
  readonly maxRunBytes: number;
  readonly counters: DeliveryCounters;
  readonly log: Logger;
};

/** How often a wait for sockets looks again. */
const DRAIN_LOOK_MS = 2;
/** The longest wait of a run while the sockets together take 32 MB a second. */
const BUSY_WAIT_MS = 1_000;
const BUSY_BYTES_PER_MS = 32 * 1024;

export class Dispatcher {
  readonly #options: DispatcherOptions;
  #position: Position;
  #isBusy = false;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#position = options.position;
  }

  /** Everything at or below has been fanned out; everything above will be. */
  get position(): Position {
    return this.#position;
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Delivers `batch` whole. Rejects only when the database cannot be asked for what decoding needs. */
  async dispatch(batch: WalBatch, signal: AbortSignal): Promise<void> {
    this.#isBusy = true;
    const { translator, queue } = this.#options;
    const { messages, commit } = await translator.translate(batch);
    let unsentBytes = 0;
    for (let from = 0; from < messages.length; ) {
      const { to, bytes } = this.#endOfRun(messages, from);
      await this.#deliverRun(messages.slice(from, to));
      from = to;
      unsentBytes += bytes;
      if (unsentBytes < this.#options.maxRunBytes || to === messages.length) continue;
      unsentBytes = 0;
      await this.#send(signal);
    }
    if (commit !== undefined) this.#commit(commit);
    await this.#send(signal);
    await queue.room(signal);
    this.#isBusy = false;
  }

  #commit({ transaction, endLsn }: CommitEntry): void {
    this.#options.queue.commit(transaction.lsn, endLsn);
    const end = endOfTransaction(transaction.epoch, transaction.lsn);
    if (end > this.#position) this.#position = end;
  }

  async #deliverRun(run: readonly ChangeMessage[]): Promise<void> {
    const { channel } = run[0] as ChangeMessage;
    this.#fanOut(run, isJudged(this.#options.hub, channel) ? await this.#audience(run) : ADMINS_ONLY);
  }

  // Judged by the last transaction of the run: a snapshot that contains it contains those before it.
  async #audience(run: readonly ChangeMessage[]): Promise<Audience> {
    const last = run[run.length - 1] as ChangeMessage;
    try {
      return await audienceOf(this.#options.access, last.relation, last.transaction.xid);
    } catch (error) {
      this.#options.counters.undecided();
      this.#options.log.error({ err: error, channel: last.channel }, 'access could not be decided: denied');
      return ADMINS_ONLY;
    }
  }

  // One synchronous turn: what is fanned out and where delivery stands change together.
  #fanOut(run: readonly ChangeMessage[], audience: Audience): void {
    const { hub, queue, counters } = this.#options;
    const fresh = run.findIndex((message) => message.position > this.#position);
    const delivered = fresh === -1 ? [] : run.slice(fresh);
    const counts = delivered.length === 0 ? new Uint32Array(0) : fanOut(hub, delivered, audience);
    const repeated = run.length - delivered.length;
    for (const [index, message] of run.entries()) queue.push(message, counts[index - repeated] ?? 0);
    counters.delivered(run.length, counts);
    const last = run[run.length - 1] as ChangeMessage;
    if (last.position > this.#position) this.#position = last.position;
  }

  // Sockets are waited for after so many bytes, not after so many of WAL: a batch of small rows grows
  // fourfold on its way, and would put a healthy reader above its bound at one go.
  async #send(signal: AbortSignal): Promise<void> {
    this.#options.hub.flush();
    this.#options.queue.wake();
    await this.#waitForSockets(signal);
  }

  async #waitForSockets(signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    const behindBytes = this.#options.hub.checkBehind();
    for (let left = behindBytes; left > 0 && !signal.aborted; left = this.#options.hub.checkBehind()) {
      if (!this.#isWorthWaiting(performance.now() - startedAt, behindBytes - left)) return;
      await pause(DRAIN_LOOK_MS, signal);
    }
  }

  // Beyond its bound the wait goes on only while the sockets take so much together that the machine is what is
  // slow, and no reader: a slow one cannot hold the WAL.
  #isWorthWaiting(waitedMs: number, drainedBytes: number): boolean {
    if (waitedMs < this.#options.drainWaitMs) return true;
    return waitedMs < BUSY_WAIT_MS && drainedBytes > waitedMs * BUSY_BYTES_PER_MS;
  }

  // Neighbours of one table version, whatever transactions they are of.
  #endOfRun(messages: readonly ChangeMessage[], from: number): { readonly to: number; readonly bytes: number } {
    const { maxRunBytes } = this.#options;
    const { relation } = messages[from] as ChangeMessage;
    let to = from;
    let bytes = 0;
    while (bytes < maxRunBytes && messages[to]?.relation === relation) {
      bytes += (messages[to++] as ChangeMessage).payload.length + FRAME_OVERHEAD_BYTES;
    }
    return { to, bytes };
  }
}

/** Whether somebody is subscribed of whom the database must be asked. */
function isJudged(hub: Hub, channel: string): boolean {
  for (const { spec } of hub.groups(channel)) if (!spec.identity.isAdmin) return true;
  return false;
}
