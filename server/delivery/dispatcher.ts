// Owns the walk of a batch: translate, decide the audience, fan out, hand to the journal. All waiting
// happens before the fan-out of a stretch, which is one synchronous turn; so whoever subscribes between two
// turns gets everything above `position`, and nothing at or below it. Sockets hold the WAL for a bounded
// time only, the journal for as long as it is behind its bound.

import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Message } from '../changes/change-message.ts';
import type { Translator } from '../changes/translator.ts';
import type { Hub } from '../hub/hub.ts';
import { must } from '../lib/assert.ts';
import { pause } from '../lib/backoff.ts';
import type { Logger } from '../lib/logger.ts';
import { endOfTransaction } from '../lib/position.ts';
import type { CanonicalChannel } from '../protocol/channel-name.ts';
import type { CommitEntry, WalBatch } from '../replication/wal-entry.ts';
import type { Announcer } from './announcer.ts';
import { Audience, type Judge } from './audience.ts';
import type { DeliveryCounters } from './delivery-counters.ts';
import { fanOut } from './fan-out.ts';
import type { JournalQueue } from './journal-queue.ts';
import type { StreamProgress } from './stream-progress.ts';
import { endOfStretch, type Run, runFrom, runsOf } from './stretch.ts';
import { Viewers } from './viewers.ts';

export type DispatcherOptions = {
  readonly hub: Hub;
  readonly translator: Translator;
  readonly judge: Judge;
  readonly announcer: Pick<Announcer, 'withheld'>;
  readonly queue: JournalQueue;
  /** Whether changes of a table go into history. */
  readonly isPersisted: (channel: CanonicalChannel) => boolean;
  /** Nothing at or below the delivered position is fanned out again by this process. */
  readonly progress: Pick<StreamProgress, 'delivered' | 'unseen'>;
  /** Whether nothing is delivered live: all goes into history, and positions go on. */
  readonly isShedding: () => boolean;
  /** Longest wait for sockets that are behind but draining, a stretch. */
  readonly drainWaitMs: number;
  /** A stretch has so many bytes at most; with `drainWaitMs` it says how fast a reader must be in a burst. */
  readonly maxStretchBytes: number;
  /** Payloads above this are cut to the key. */
  readonly maxPayloadBytes: number;
  readonly counters: DeliveryCounters;
  readonly log: Logger;
};

/** How often a wait for sockets looks again. */
const DRAIN_LOOK_MS = 2;
/** The longest wait of a stretch while the sockets together take 32 MB a second. */
const BUSY_WAIT_MS = 1_000;
const BUSY_BYTES_PER_MS = 32 * 1024;
/** Work goes on so long before others have their turn: pings, and the journal, whose transaction may not lie idle. */
const TURN_MS = 10;
const NOBODY = new Uint32Array(0);

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #viewers = new Viewers();
  #isBusy = false;
  #turnBegan = performance.now();

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Delivers `batch` whole. Rejects only when the database cannot be asked for what decoding needs. */
  async dispatch(batch: WalBatch, signal: AbortSignal): Promise<void> {
    this.#isBusy = true;
    const { translator, queue } = this.#options;
    const { messages, commit } = await translator.translate(batch);
    for (let from = 0; from < messages.length; ) {
      const to = endOfStretch(messages, from, this.#options.maxStretchBytes);
      await this.#deliverStretch(messages.slice(from, to), signal);
      from = to;
      if (to < messages.length) await this.#send(signal);
    }
    if (commit !== undefined) this.#commit(commit);
    await this.#send(signal);
    await queue.room(signal);
    this.#isBusy = false;
  }

  #commit({ transaction, endLsn }: CommitEntry): void {
    this.#options.queue.commit(transaction.lsn, endLsn);
    this.#options.progress.delivered.reach(endOfTransaction(transaction.epoch, transaction.lsn));
  }

  // Whoever subscribes, or changes its identity, while others are judged is judged too: between the last look
  // and the fan-out nothing can happen.
  async #deliverStretch(stretch: readonly Message[], signal: AbortSignal): Promise<void> {
    const { hub, judge, isShedding } = this.#options;
    const runs = runsOf(stretch);
    const audience = new Audience(runs, this.#viewers, (channel) => hub.groups(channel));
    while (audience.isOpen && !isShedding()) await audience.judge(judge, signal);
    for (const run of runs) this.#fanOut(run, audience);
  }

  // One synchronous turn: what is fanned out and where delivery stands change together.
  #fanOut(run: Run, audience: Audience): void {
    const { queue, counters, isPersisted, progress } = this.#options;
    const position = must(progress.delivered.position, 'the delivered position');
    const fresh = run.messages.findIndex((message) => message.position > position);
    const counts = fresh === -1 ? NOBODY : this.#fanOutFresh(run, fresh, audience);
    const repeated = fresh === -1 ? run.messages.length : fresh;
    if (run.kind === 'published' || isPersisted(run.channel)) {
      for (const [index, message] of run.messages.entries()) queue.push(message, counts[index - repeated] ?? 0);
    } else {
      queue.skip(run.channel, lastOf(run).position);
    }
    counters.delivered(run.kind, run.messages.length, counts);
    for (const { transaction } of run.messages) progress.unseen.add(transaction.xid);
    progress.delivered.reach(lastOf(run).position);
  }

  #fanOutFresh(run: Run, fresh: number, audience: Audience): Uint32Array {
    if (this.#options.isShedding()) return NOBODY;
    const { counts, withheld } = fanOut(this.#options, runFrom(run, fresh), audience);
    const from = must(this.#options.progress.delivered.position, 'the delivered position');
    for (const group of withheld) this.#options.announcer.withheld(group, from, lastOf(run).position);
    return counts;
  }

  // Sockets are waited for after so many bytes, not after so many of WAL: a batch of small rows grows
  // fourfold on its way, and would put a healthy reader above its bound at one go.
  async #send(signal: AbortSignal): Promise<void> {
    this.#options.hub.flush();
    this.#options.queue.wake();
    await this.#waitForSockets(signal);
    if (performance.now() - this.#turnBegan < TURN_MS) return;
    await nextTurn();
    this.#turnBegan = performance.now();
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
}

function lastOf({ messages }: Run): Message {
  return messages[messages.length - 1] as Message;
}
