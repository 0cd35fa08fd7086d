// Owns one replication connection from START_REPLICATION to its end: reading, keepalives, confirmation.
// The only file that may import pg-logical-replication. That library opens and ends the connection; its
// acknowledging (received instead of handled positions, plus one) and its decoding (an object a row) are
// replaced: after START_REPLICATION the socket is read here, in place. What a batch means, and when it is
// safe to confirm, belongs to the consumer.

import type { Duplex } from 'node:stream';
import type { Client, ClientConfig } from 'pg';
import { LogicalReplicationService, PgoutputPlugin } from 'pg-logical-replication';
import type { Logger } from '../lib/logger.ts';
import { type Epoch, formatLsn, type Lsn, ZERO_LSN } from '../lib/position.ts';
import { BackendMessages } from './backend-messages.ts';
import { PgoutputDecoder } from './pgoutput-decoder.ts';
import { serverError } from './server-error.ts';
import { readKeepalive, statusUpdate } from './status-update.ts';
import type { WalBatch, WalEntry } from './wal-entry.ts';

export type WalStreamOptions = {
  /** Where to connect, session settings included. */
  readonly connection: ClientConfig;
  readonly slot: string;
  readonly publications: readonly string[];
  readonly epoch: Epoch;
  /** Transactions at or below are dropped whole. */
  readonly handled: Lsn;
  /** The highest LSN confirmed so far. */
  readonly confirmed: Lsn;
  /** Above this many undelivered bytes the socket is not read. */
  readonly maxQueuedBytes: number;
  /** How often the confirmed position is sent again; a third of wal_sender_timeout at most. */
  readonly statusIntervalMs: number;
  /** Silence of the server for longer than this ends the stream. */
  readonly silenceLimitMs: number;
  /** This many reply requests in a row within a second, with nothing in flight: the database is shutting down. */
  readonly keepaliveRunLimit: number;
  /** Called on a keepalive while no transaction is open and nothing is queued: all WAL up to `walEnd` was read. */
  readonly onIdle: (walEnd: Lsn) => void;
  readonly log: Logger;
};

const MESSAGE = { copyBoth: 0x57, copyData: 0x64, copyDone: 0x63, error: 0x45 } as const;
const COPY = { walData: 0x77, keepalive: 0x6b } as const;
const WAL_DATA_HEADER_BYTES = 25;
const KEEPALIVE_RUN_MS = 1000;
/** Terminate, which a walsender obeys while it streams. */
const TERMINATE = Buffer.from([0x58, 0, 0, 0, 4]);
const LEAVE_WITHIN_MS = 1_000;

/** The database stops and waits for a confirmation that must not be given (traps of Postgres, rule 1). */
export class DatabaseStoppingSignal extends Error {
  override readonly name = 'DatabaseStoppingSignal';
}

export class WalStream {
  readonly #options: WalStreamOptions;
  readonly #service: LogicalReplicationService;
  readonly #decoder: PgoutputDecoder;
  readonly #started = Promise.withResolvers<void>();
  #socket: Duplex | undefined;
  #timer: NodeJS.Timeout | undefined;
  #entries: WalEntry[] = [];
  #queuedBytes = 0;
  #waiting: (() => void) | undefined;
  #failure: Error | undefined;
  #confirmed: Lsn;
  #heardAt = performance.now();
  #keepaliveRun = 0;
  #keepaliveRunSince = 0;
  #walEnd: Lsn = ZERO_LSN;

  /** Connects and starts streaming. Rejects with the server's error, `code` included (55006: slot in use). */
  static async open(options: WalStreamOptions): Promise<WalStream> {
    const stream = new WalStream(options);
    await stream.#open();
    return stream;
  }

  private constructor(options: WalStreamOptions) {
    this.#options = options;
    this.#confirmed = options.confirmed;
    this.#started.promise.catch(() => undefined); // awaited only once the connection stands
    this.#decoder = new PgoutputDecoder(options);
    this.#service = new LogicalReplicationService(options.connection, {
      acknowledge: { auto: false, timeoutSeconds: 0 },
      flowControl: { enabled: true },
    });
  }

  /** The end of WAL as the server told last. */
  get walEnd(): Lsn {
    return this.#walEnd;
  }

  /** The highest LSN that the server was told it may forget. */
  get confirmed(): Lsn {
    return this.#confirmed;
  }

  /** Whether no transaction is open and no entry waits to be taken. */
  get isDrained(): boolean {
    return this.#entries.length === 0 && !this.#decoder.isInTransaction;
  }

  /** The next entries, as soon as there are some; undefined once `signal` is aborted. Rejects when the stream fails. */
  async next(signal: AbortSignal): Promise<WalBatch | undefined> {
    while (this.#entries.length === 0 && this.#failure === undefined && !signal.aborted) await this.#more(signal);
    if (signal.aborted) return undefined;
    if (this.#entries.length === 0) throw this.#failure;
    const batch = { entries: this.#entries, bytes: this.#queuedBytes };
    this.#entries = [];
    this.#queuedBytes = 0;
    this.#readOn();
    return batch;
  }

  /** Lets the server forget WAL below `lsn`. Only for what is journaled, or promised as `may_ack`. */
  confirm(lsn: Lsn): void {
    if (lsn <= this.#confirmed) return;
    this.#confirmed = lsn;
    this.#sendStatus(false);
  }

  /** Ends the connection; pending `next` calls reject. The slot is free when it resolves, unless the server hangs. */
  async close(): Promise<void> {
    this.#fail(new Error('the stream was closed'));
    await this.#leave();
    await this.#service.destroy().catch(() => undefined);
  }

  // The server ends its process, and with it the hold on the slot, before it closes the socket.
  #leave(): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const cut = setTimeout(() => socket.destroy(), LEAVE_WITHIN_MS);
      socket.once('close', () => {
        clearTimeout(cut);
        resolve();
      });
      socket.removeAllListeners('data').resume();
      socket.end(TERMINATE);
    });
  }

  async #open(): Promise<void> {
    this.#service.on('error', (error) => this.#fail(error));
    const plugin = new TakeoverPlugin(this.#options.publications, (client, sql) => this.#takeOver(client, sql));
    const { slot, confirmed, silenceLimitMs } = this.#options;
    const late = setTimeout(() => this.#fail(new Error('the database did not start the stream')), silenceLimitMs);
    try {
      await this.#service.subscribe(plugin, slot, formatLsn(confirmed));
      await this.#started.promise;
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      clearTimeout(late);
    }
    this.#timer = setInterval(() => this.#tick(), Math.max(50, this.#options.statusIntervalMs / 2));
  }

  #readOn(): void {
    if (this.#socket?.isPaused() !== true) return;
    this.#heardAt = performance.now(); // the silence was ours
    this.#socket.resume();
  }

  // The connection is idle, so the next byte that arrives starts a message: from here on it is cut here.
  #takeOver(client: Client, sql: string): void {
    const { connection } = client as unknown as { connection: { stream: Duplex; query(sql: string): void } };
    const socket = connection.stream;
    const messages = new BackendMessages((type, bytes, start, end) => this.#message(type, bytes, start, end));
    socket.removeAllListeners('data');
    socket.on('data', (chunk: Buffer) => this.#read(messages, chunk));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => this.#fail(new Error('the replication connection was closed')));
    this.#socket = socket;
    connection.query(sql);
  }

  #read(messages: BackendMessages, chunk: Buffer): void {
    this.#heardAt = performance.now();
    try {
      messages.push(chunk);
    } catch (error) {
      this.#fail(error as Error);
      this.#socket?.destroy();
    }
    if (this.#entries.length === 0) return;
    this.#queuedBytes += chunk.length;
    if (this.#queuedBytes >= this.#options.maxQueuedBytes) this.#socket?.pause();
    this.#wake();
  }

  #message(type: number, bytes: Buffer, start: number, end: number): void {
    switch (type) {
      case MESSAGE.copyData:
        return this.#copyData(bytes, start, end);
      case MESSAGE.copyBoth:
        return this.#started.resolve();
      case MESSAGE.error:
        return this.#fail(serverError(bytes, start, end));
      case MESSAGE.copyDone:
        return this.#fail(new Error('the server ended the stream'));
      default:
        return undefined; // notices, parameter status
    }
  }

  #copyData(bytes: Buffer, start: number, end: number): void {
    if (bytes[start] === COPY.keepalive) return this.#keepalive(bytes, start + 1);
    if (bytes[start] !== COPY.walData) return;
    this.#keepaliveRun = 0;
    const entry = this.#decoder.decode(bytes, start + WAL_DATA_HEADER_BYTES, end);
    if (entry !== undefined) this.#entries.push(entry);
  }

  #keepalive(bytes: Buffer, start: number): void {
    const { walEnd, isReplyRequested } = readKeepalive(bytes, start);
    this.#walEnd = walEnd;
    if (this.isDrained) this.#options.onIdle(walEnd);
    if (!isReplyRequested) return;
    this.#sendStatus(false);
    if (this.#isRunOfRequests()) this.#fail(new DatabaseStoppingSignal('the database is shutting down'));
  }

  #isRunOfRequests(): boolean {
    const now = performance.now();
    if (this.#keepaliveRun === 0 || now - this.#keepaliveRunSince > KEEPALIVE_RUN_MS) {
      this.#keepaliveRun = 0;
      this.#keepaliveRunSince = now;
    }
    return ++this.#keepaliveRun >= this.#options.keepaliveRunLimit && this.isDrained;
  }

  // Silence is noticed with the help of the server: it is asked to answer before the limit is reached.
  #tick(): void {
    const silentMs = performance.now() - this.#heardAt;
    const isReading = this.#socket?.isPaused() === false;
    if (isReading && silentMs > this.#options.silenceLimitMs) {
      this.#fail(new Error(`the database was silent for ${Math.round(silentMs)} ms`));
      this.#socket?.destroy();
      return;
    }
    this.#sendStatus(isReading && silentMs > this.#options.silenceLimitMs / 3);
  }

  #sendStatus(isReplyRequested: boolean): void {
    if (this.#failure !== undefined || this.#socket?.writable !== true) return;
    this.#socket.write(statusUpdate(this.#confirmed, Date.now(), isReplyRequested));
  }

  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    clearInterval(this.#timer);
    this.#started.reject(error);
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  #more(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting = done;
      signal.addEventListener('abort', done, { once: true });
    });
  }
}

/** Hands the connected client to the stream in place of the library's own reading. */
class TakeoverPlugin extends PgoutputPlugin {
  readonly #takeOver: (client: Client, sql: string) => void;

  constructor(publications: readonly string[], takeOver: (client: Client, sql: string) => void) {
    super({ protoVersion: 1, publicationNames: [...publications], messages: true });
    this.#takeOver = takeOver;
  }

  override async start(client: Client, slot: string, lsn: string): Promise<void> {
    const publications = this.options.publicationNames.map((name: string) => `"${name.replaceAll('"', '""')}"`);
    const quoted = publications.join(',').replaceAll("'", "''");
    const options = `proto_version '1', publication_names '${quoted}', messages 'true'`;
    this.#takeOver(client, `START_REPLICATION SLOT "${slot}" LOGICAL ${lsn} (${options})`);
  }
}
