// Owns the main loop of the server: lead, open the stream, and run dispatcher and journal over it until one
// fails or the server stops. A failure ends both, closes the stream before anything else, and the supervisor
// runs it again. What was delivered is remembered across runs, so that a reconnect repeats nothing to those
// who stayed connected.

import { Translator, type TranslatorOptions } from '../changes/translator.ts';
import { cut } from '../db/dead-link.ts';
import type { Logger } from '../lib/logger.ts';
import { endOfTransaction, type Lsn, type Position } from '../lib/position.ts';
import type { Service } from '../lib/service.ts';
import { changeIdMask } from '../messages/change-ids.ts';
import type { OpenSource, SourceRequest } from '../replication/change-source.ts';
import type { StartPoint } from '../replication/slot.ts';
import type { Announcer } from './announcer.ts';
import { Dispatcher, type DispatcherOptions } from './dispatcher.ts';
import { Journal, type JournalOptions } from './journal.ts';
import { JournalQueue } from './journal-queue.ts';
import { lostSession } from './lost-session.ts';
import type { Shedding } from './shedding.ts';
import type { StreamProgress } from './stream-progress.ts';
import type { StreamState } from './stream-status.ts';

export type PipelineOptions = Pick<
  DispatcherOptions,
  'hub' | 'judge' | 'isPersisted' | 'drainWaitMs' | 'maxStretchBytes' | 'counters' | 'log'
> &
  Pick<TranslatorOptions, 'types' | 'readPrimaryKey' | 'maxPayloadBytes'> &
  Pick<
    JournalOptions,
    | 'maxBatchEntries'
    | 'lingerMs'
    | 'idleRaiseBytes'
    | 'idleRaiseIntervalMs'
    | 'idleOtherBytes'
    | 'isDataError'
    | 'onEnqueued'
  > & {
    /** Waits to lead and opens the stream; undefined once the signal is aborted. Throws what is wrong. */
    readonly openSource: (request: SourceRequest, signal: AbortSignal) => Promise<OpenSource | undefined>;
    /** Drops the slot, which nobody reads any more. */
    readonly dropSlot: () => Promise<void>;
    readonly maxAheadBytes: number;
    /** How long the journal may go on writing what it has, after the stream has failed. */
    readonly journalGraceMs: number;
    readonly shedding: Shedding;
    readonly state: StreamState;
    readonly progress: StreamProgress;
    readonly announcer: Announcer;
    readonly log: Logger;
  };

type Running = {
  readonly source: OpenSource;
  readonly queue: JournalQueue;
  readonly dispatcher: Dispatcher;
  readonly journal: Journal;
};

/** The slot was to be given up, or the stream to be opened anew. */
class InterruptedError extends Error {
  override readonly name = 'InterruptedError';
}

export class Pipeline implements Service {
  readonly name = 'pipeline';
  readonly #options: PipelineOptions;
  #running: Running | undefined;
  #interruption = new AbortController();
  #isFuseBlown = false;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /** Everything at or below has been fanned out; undefined before the first stream. */
  get position(): Position | undefined {
    return this.#options.progress.delivered.position;
  }

  /** WAL that was written but is not yet confirmed, in bytes; null while nothing streams. */
  get lagBytes(): number | null {
    const stream = this.#running?.source.stream;
    return stream === undefined ? null : Number(stream.walEnd - stream.confirmed);
  }

  /** Bytes of memory that wait for the journal. */
  get pendingBytes(): number {
    return this.#running?.queue.bytes ?? 0;
  }

  /** The epoch of the stream; null while nothing streams. */
  get epoch(): number | null {
    return this.#running?.source.start.epoch ?? null;
  }

  /** Ends the stream, and opens it anew; nothing is lost. */
  reopen(why: string): void {
    this.#interruption.abort(new InterruptedError(why));
  }

  /** Gives up the slot, whatever is in it, and begins a new epoch with another one: it holds back too much WAL. */
  discardSlot(why: string): void {
    this.#isFuseBlown = true;
    this.reopen(why);
  }

  async run(signal: AbortSignal): Promise<void> {
    this.#interruption = new AbortController();
    const source = await this.#lead(signal);
    if (source === undefined) return;
    try {
      const running = await this.#start(source);
      this.#options.shedding.tellState();
      await this.#work(running, signal);
    } catch (error) {
      this.#stalled(error);
      throw error;
    } finally {
      this.#running = undefined;
      await source.close();
      if (this.#isFuseBlown) await this.#dropSlot();
    }
  }

  async #lead(signal: AbortSignal): Promise<OpenSource | undefined> {
    const { state, openSource } = this.#options;
    const interrupted = this.#interruption.signal;
    const request: SourceRequest = {
      isFuseBlown: this.#isFuseBlown,
      onIdle: (walEnd) => this.#onIdle(walEnd),
      onSlotLost: (reason) => state.set('slot_lost', reason),
      onStandby: () => {
        this.#isFuseBlown = false;
        state.set('standby', 'another server leads');
      },
    };
    try {
      const source = await openSource(request, AbortSignal.any([signal, interrupted]));
      if (source === undefined && !signal.aborted) interrupted.throwIfAborted();
      return source;
    } catch (error) {
      this.#stalled(error);
      throw error;
    }
  }

  // At once, so that no more WAL is held back; if it cannot be done, the next start does it.
  async #dropSlot(): Promise<void> {
    const { dropSlot, log } = this.#options;
    await dropSlot().catch((error: Error) => log.warn({ reason: error.message }, 'the slot could not be dropped yet'));
  }

  #stalled(error: unknown): void {
    this.#options.state.set('stalled', error instanceof Error ? error.message : String(error));
  }

  async #start(source: OpenSource): Promise<Running> {
    const { start, stream, leadership } = source;
    const handledEnd = endOfTransaction(start.epoch, start.handled);
    this.#options.progress.systemIdentifier = start.systemIdentifier;
    this.#options.progress.delivered.reset(this.#announce(start, handledEnd));
    const queue = new JournalQueue(this.#options.maxAheadBytes);
    const confirm = (lsn: Lsn): void => stream.confirm(lsn);
    const journal = new Journal({
      ...this.#options,
      ...leadership,
      queue,
      epoch: start.epoch,
      mayAck: start.mayAck,
      confirm,
    });
    source.lease.watchJournal(() => journal.busySince);
    await journal.prepare(handledEnd);
    const translator = new Translator({
      ...this.#options,
      epoch: start.epoch,
      messageIdMask: changeIdMask(start.systemIdentifier),
    });
    const isShedding = (): boolean => this.#options.shedding.isOn;
    const dispatcher = new Dispatcher({ ...this.#options, translator, queue, isShedding });
    if (start.newEpoch !== null) this.#isFuseBlown = false;
    this.#running = { source, queue, dispatcher, journal };
    return this.#running;
  }

  // Delivery goes on where it stood, unless the epoch is over or another leader handled changes meanwhile: both are gaps
  // for whoever stayed connected here, and the second one can be resumed across.
  #announce(start: StartPoint, handledEnd: Position): Position {
    const before = this.position;
    if (before === undefined) return handledEnd;
    if (start.newEpoch === null && before >= handledEnd) return before;
    const { announcer, shedding } = this.#options;
    const reason = start.newEpoch === null ? 'wal_fuse' : 'epoch_changed';
    announcer.gap(reason, shedding.drop() ?? before, handledEnd);
    return handledEnd;
  }

  async #work({ source, dispatcher, journal }: Running, signal: AbortSignal): Promise<void> {
    const failed = new AbortController();
    const reading = AbortSignal.any([signal, failed.signal]);
    const journalStop = new AbortController();
    const fail = (error: unknown): never => {
      if (!failed.signal.aborted) this.#stalled(error);
      failed.abort();
      journalStop.abort();
      throw error;
    };
    const journaling = journal.run(journalStop.signal);
    const ended = Promise.race([
      journaling,
      lostSession(source.leadership.client, reading),
      this.#interrupted(reading),
    ]);
    // Settled at once: while it is waited for the dispatcher, nobody else looks after what becomes of the journal.
    const writing = Promise.allSettled([ended.catch(fail)]);
    const dispatching = this.#dispatch(source, dispatcher, reading).catch(fail);
    const [dispatched] = await Promise.allSettled([dispatching.then(() => journalStop.abort())]);
    if (failed.signal.aborted) await this.#withinGrace(source, journaling);
    const [written] = await writing;
    const failure = [written, dispatched].find((result) => result.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
  }

  // On a dead link neither an answer nor an error comes, however long it is waited for.
  async #withinGrace({ leadership }: OpenSource, journaling: Promise<void>): Promise<void> {
    const why = new Error('the journal could not end in time');
    const late = setTimeout(() => cut(leadership.client, why), this.#options.journalGraceMs);
    await journaling.catch(() => undefined);
    clearTimeout(late);
  }

  #interrupted(reading: AbortSignal): Promise<never> {
    const { signal } = this.#interruption;
    return new Promise((_, reject) => {
      const onAbort = (): void => reject(signal.reason);
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      reading.addEventListener('abort', () => signal.removeEventListener('abort', onAbort), { once: true });
    });
  }

  async #dispatch({ stream }: OpenSource, dispatcher: Dispatcher, signal: AbortSignal): Promise<void> {
    for (;;) {
      const batch = await stream.next(signal);
      if (batch === undefined) return;
      const failure = await dispatcher.dispatch(batch, signal).then(noFailure, asFailure);
      // What was cut off by the end is not confirmed, and comes again.
      if (failure !== undefined && signal.aborted) return;
      if (failure !== undefined) throw failure;
    }
  }

  #onIdle(walEnd: Lsn): void {
    const running = this.#running;
    if (running === undefined || running.dispatcher.isBusy) return;
    if (running.journal.isIdle) this.#options.progress.reachIdle(running.source.start.epoch, walEnd);
    running.journal.idle(walEnd);
  }
}

const noFailure = (): undefined => undefined;
const asFailure = (error: Error): Error => error;
