// Owns the main loop of the server: lead, open the stream, and run dispatcher and journal over it until one
// fails or the server stops. A failure ends both, closes the stream before anything else, and the supervisor
// runs it again. What was delivered is remembered across runs, so that a reconnect repeats nothing to those
// who stayed connected.

import { Translator, type TranslatorOptions } from '../changes/translator.ts';
import { pause } from '../lib/backoff.ts';
import type { Logger } from '../lib/logger.ts';
import { endOfTransaction, type Lsn, type Position } from '../lib/position.ts';
import type { Service } from '../lib/service.ts';
import { changeIdMask } from '../messages/change-ids.ts';
import type { OpenSource } from '../replication/change-source.ts';
import type { StartPoint } from '../replication/slot.ts';
import type { Announcer } from './announcer.ts';
import { Dispatcher, type DispatcherOptions } from './dispatcher.ts';
import { Journal, type JournalOptions } from './journal.ts';
import { JournalQueue } from './journal-queue.ts';
import type { StreamState } from './stream-status.ts';

export type PipelineOptions = Pick<
  DispatcherOptions,
  'hub' | 'judge' | 'isPersisted' | 'drainWaitMs' | 'maxStretchBytes' | 'counters' | 'log'
> &
  Pick<TranslatorOptions, 'types' | 'readPrimaryKey' | 'maxPayloadBytes'> &
  Pick<
    JournalOptions,
    'maxBatchEntries' | 'lingerMs' | 'idleRaiseBytes' | 'idleRaiseIntervalMs' | 'idleOtherBytes' | 'isDataError'
  > & {
    /** Opens the stream, or undefined while another server leads; throws what is wrong. */
    readonly openSource: (onIdle: (walEnd: Lsn) => void, signal: AbortSignal) => Promise<OpenSource | undefined>;
    readonly maxAheadBytes: number;
    /** How often a standby looks whether it may lead. */
    readonly standbyPollMs: number;
    readonly state: StreamState;
    readonly announcer: Announcer;
    readonly log: Logger;
  };

type Running = {
  readonly source: OpenSource;
  readonly queue: JournalQueue;
  readonly dispatcher: Dispatcher;
  readonly journal: Journal;
};

export class Pipeline implements Service {
  readonly name = 'pipeline';
  readonly #options: PipelineOptions;
  #running: Running | undefined;
  #position: Position | undefined;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /** Everything at or below has been fanned out; undefined before the first stream. */
  get position(): Position | undefined {
    return this.#running?.dispatcher.position ?? this.#position;
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

  async run(signal: AbortSignal): Promise<void> {
    const source = await this.#lead(signal);
    if (source === undefined) return;
    const { state } = this.#options;
    try {
      const running = await this.#start(source);
      state.set('streaming', null);
      await this.#work(running, signal);
    } catch (error) {
      state.set('stalled', error instanceof Error ? error.message : String(error));
      throw error;
    } finally {
      this.#position = this.position;
      this.#running = undefined;
      await source.close();
    }
  }

  async #lead(signal: AbortSignal): Promise<OpenSource | undefined> {
    const { state, openSource, standbyPollMs } = this.#options;
    while (!signal.aborted) {
      const source = await openSource((walEnd) => this.#onIdle(walEnd), signal).catch((error: Error) => {
        state.set('stalled', error.message);
        throw error;
      });
      if (source !== undefined) return source;
      if (signal.aborted) return undefined;
      state.set('standby', 'another server leads');
      await pause(standbyPollMs, signal);
    }
    return undefined;
  }

  async #start(source: OpenSource): Promise<Running> {
    const { start, stream, leadership } = source;
    const handledEnd = endOfTransaction(start.epoch, start.handled);
    const position = this.#announce(start, handledEnd);
    const queue = new JournalQueue(this.#options.maxAheadBytes);
    const confirm = (lsn: Lsn): void => stream.confirm(lsn);
    const journal = new Journal({ ...this.#options, ...leadership, queue, mayAck: start.mayAck, confirm });
    await journal.prepare(handledEnd);
    const translator = new Translator({
      ...this.#options,
      epoch: start.epoch,
      messageIdMask: changeIdMask(start.systemIdentifier),
    });
    const dispatcher = new Dispatcher({ ...this.#options, translator, queue, position });
    this.#running = { source, queue, dispatcher, journal };
    return this.#running;
  }

  // Delivery goes on where it stood, unless the epoch is over or another leader handled changes meanwhile:
  // both are gaps for whoever stayed connected here.
  #announce(start: StartPoint, handledEnd: Position): Position {
    const before = this.#position;
    if (before === undefined) return handledEnd;
    if (start.newEpoch === null && before >= handledEnd) return before;
    this.#options.announcer.gap('epoch_changed', before, handledEnd);
    return handledEnd;
  }

  async #work({ source, dispatcher, journal }: Running, signal: AbortSignal): Promise<void> {
    const failed = new AbortController();
    const reading = AbortSignal.any([signal, failed.signal]);
    const journalStop = new AbortController();
    const lost = lostSession(source, reading);
    const fail = (error: unknown): never => {
      failed.abort();
      journalStop.abort();
      throw error;
    };
    // Settled at once: while it is waited for the dispatcher, nobody else looks after what becomes of the journal.
    const writing = Promise.allSettled([Promise.race([journal.run(journalStop.signal), lost]).catch(fail)]);
    const dispatching = this.#dispatch(source, dispatcher, reading).catch(fail);
    const [dispatched] = await Promise.allSettled([dispatching.then(() => journalStop.abort())]);
    const [written] = await writing;
    const failure = [written, dispatched].find((result) => result.status === 'rejected');
    if (failure !== undefined) throw failure.reason;
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
    if (this.#running?.dispatcher.isBusy === false) this.#running.journal.idle(walEnd);
  }
}

const noFailure = (): undefined => undefined;
const asFailure = (error: Error): Error => error;

/** Rejects when the leader's session ends: the lock is gone with it, and a database that stops waits for the stream. */
function lostSession({ leadership }: OpenSource, signal: AbortSignal): Promise<never> {
  const { client } = leadership;
  return new Promise((_, reject) => {
    const onEnd = (): void => reject(new Error('the session of the journal was ended'));
    client.once('error', reject);
    client.once('end', onEnd);
    signal.addEventListener('abort', () => client.off('end', onEnd).off('error', reject), { once: true });
  });
}
