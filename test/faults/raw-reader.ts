// Owns a lean WebSocket subscriber that counts instead of keeping: it reads the position at the end of each
// message frame and checks that positions grow, which is order and uniqueness at once. It speaks over a bare
// TCP socket, so that a test can read it badly. Written against the wire, not with the server's own code.

import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';

/** How a reader reads once it is subscribed: all it gets, nothing, a byte a second, or all without ever answering a ping. */
export type Manner = 'well' | 'stalled' | 'trickling' | 'mute';

export type ReaderWish = {
  readonly filter?: object | undefined;
  readonly since?: string | undefined;
  readonly manner?: Manner | undefined;
};

export type ReaderReport = {
  readonly name: string;
  readonly messages: number;
  /** Messages whose position was not above the one before. */
  readonly disorders: number;
  readonly firstPosition: string | null;
  readonly lastPosition: string | null;
  /** Distinct commit LSNs seen one behind the other. */
  readonly transactions: number;
  /** Longest time between two chunks since the first message, in milliseconds. */
  readonly longestSilenceMs: number;
  readonly bytes: number;
  readonly closeCode: number | null;
  readonly isEnded: boolean;
  /** As the last `subscribed` says; null where nothing was asked. */
  readonly recovered: boolean | null;
  readonly others: readonly string[];
};

type OtherFrame = { readonly type: string; readonly position?: string; readonly recovered?: boolean };

const OPCODE = { text: 1, close: 8, ping: 9, pong: 10 } as const;
const MESSAGE_HEAD = Buffer.from('{"type":"message"');
const POSITION_LENGTH = 34;
/** `<position>"}` ends a frame; 26 bytes of it name the transaction. */
const TAIL_LENGTH = POSITION_LENGTH + 2;
const TRANSACTION_LENGTH = 25;
const TRICKLE_MS = 1_000;

export class RawReader {
  readonly #name: string;
  readonly #port: number;
  readonly #token: string;
  readonly #channel: string;
  readonly #filter: object | undefined;
  #manner: Manner;
  #socket: Socket;
  #opened = Promise.withResolvers<void>();
  #subscribed = Promise.withResolvers<void>();
  #isSubscribed = false;
  #recovered: boolean | null = null;
  /** Where the first subscription began, for who has no message to go on from. */
  #begin: string | undefined;
  #trickle: NodeJS.Timeout | undefined = undefined;
  readonly #previous = Buffer.alloc(POSITION_LENGTH);
  readonly #others: string[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #isUpgraded = false;
  #messages = 0;
  #disorders = 0;
  #transactions = 0;
  #firstPosition: string | null = null;
  #lastChunkAt = 0;
  #longestSilenceMs = 0;
  #bytes = 0;
  #closeCode: number | null = null;
  #isEnded = false;

  /** Connects, authenticates by header and subscribes to `channel`; resolves once `subscribed` came. */
  static async subscribe(
    name: string,
    port: number,
    token: string,
    channel: string,
    wish: ReaderWish = {},
  ): Promise<RawReader> {
    const reader = new RawReader(name, port, token, channel, wish);
    await reader.#subscribe(wish.since);
    return reader;
  }

  private constructor(
    name: string,
    port: number,
    token: string,
    channel: string,
    { filter, since, manner }: ReaderWish,
  ) {
    this.#name = name;
    this.#port = port;
    this.#token = token;
    this.#channel = channel;
    this.#filter = filter;
    this.#begin = since;
    this.#manner = manner ?? 'well';
    this.#socket = this.#connect();
  }

  /** Leaves the connection, and comes back on another one behind the last message, from now on reading well. */
  async again(): Promise<void> {
    this.close();
    this.#manner = 'well';
    this.#rest = Buffer.alloc(0);
    this.#isUpgraded = this.#isSubscribed = this.#isEnded = false;
    this.#opened = Promise.withResolvers();
    this.#subscribed = Promise.withResolvers();
    this.#socket = this.#connect();
    await this.#subscribe(this.#messages === 0 ? this.#begin : this.#previous.toString('latin1'));
  }

  /** Reads no more: what the server sends piles up. */
  stall(): void {
    this.#socket.pause();
  }

  /** Reads again. */
  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    clearTimeout(this.#trickle);
    this.#socket.destroy();
  }

  report(): ReaderReport {
    return {
      name: this.#name,
      messages: this.#messages,
      disorders: this.#disorders,
      firstPosition: this.#firstPosition,
      lastPosition: this.#messages === 0 ? null : this.#previous.toString('latin1'),
      transactions: this.#transactions,
      longestSilenceMs: Math.round(this.#longestSilenceMs),
      bytes: this.#bytes,
      closeCode: this.#closeCode,
      isEnded: this.#isEnded,
      recovered: this.#recovered,
      others: this.#others,
    };
  }

  #connect(): Socket {
    const to = { port: this.#port, host: '127.0.0.1' };
    const socket = this.#manner === 'trickling' ? connect({ ...to, onread: this.#bytewise() }) : connect(to);
    const key = randomBytes(16).toString('base64');
    socket.write(
      `GET /realtime HTTP/1.1\r\nHost: 127.0.0.1:${this.#port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\nAuthorization: Bearer ${this.#token}\r\n\r\n`,
    );
    const isCurrent = (): boolean => socket === this.#socket;
    socket.on('data', (chunk: Buffer) => isCurrent() && this.#read(chunk));
    socket.on('error', (error) => isCurrent() && this.#fail(error));
    socket.on('close', () => isCurrent() && this.#fail(new Error(`${this.#name}: the socket closed`)));
    return socket;
  }

  /** Takes one byte at a time from the kernel, so that no buffer of this process hides how slow it is. */
  #bytewise(): { buffer: Buffer; callback: (count: number, bytes: Uint8Array) => boolean } {
    return {
      buffer: Buffer.alloc(1),
      callback: (_count, bytes) => {
        this.#read(Buffer.from(bytes));
        if (this.#isSubscribed) this.#trickle = setTimeout(() => this.#socket.resume(), TRICKLE_MS);
        return !this.#isSubscribed;
      },
    };
  }

  async #subscribe(since: string | undefined): Promise<void> {
    await this.#opened.promise;
    const frame = { type: 'subscribe', channel: this.#channel, filter: this.#filter, since };
    this.#send(OPCODE.text, Buffer.from(JSON.stringify(frame)));
    await this.#subscribed.promise;
  }

  #fail(error: Error): void {
    this.#isEnded = true;
    this.#opened.reject(error);
    this.#subscribed.reject(error);
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const from = this.#isUpgraded ? 0 : this.#upgrade(bytes);
    if (from === undefined) return;
    this.#noteTime();
    this.#bytes += chunk.length;
    this.#rest = bytes.subarray(this.#frames(bytes, from));
  }

  #upgrade(bytes: Buffer): number | undefined {
    const end = bytes.indexOf('\r\n\r\n');
    this.#rest = bytes;
    if (end === -1) return undefined;
    if (!bytes.toString('latin1', 0, end).startsWith('HTTP/1.1 101')) {
      this.#fail(new Error(bytes.toString('utf8')));
      return undefined;
    }
    this.#isUpgraded = true;
    this.#opened.resolve();
    return end + 4;
  }

  #noteTime(): void {
    const now = performance.now();
    if (this.#messages > 0) this.#longestSilenceMs = Math.max(this.#longestSilenceMs, now - this.#lastChunkAt);
    this.#lastChunkAt = now;
  }

  /** Reads whole frames from `at` on; returns where the first incomplete one begins. */
  #frames(bytes: Buffer, from: number): number {
    let at = from;
    while (bytes.length - at >= 2) {
      let length = (bytes[at + 1] as number) & 0x7f;
      let start = at + 2;
      if (length === 126) {
        if (bytes.length - at < 4) break;
        length = bytes.readUInt16BE(at + 2);
        start = at + 4;
      } else if (length === 127) {
        if (bytes.length - at < 10) break;
        length = Number(bytes.readBigUInt64BE(at + 2));
        start = at + 10;
      }
      if (bytes.length < start + length) break;
      this.#frame((bytes[at] as number) & 0x0f, bytes, start, start + length);
      at = start + length;
    }
    return at;
  }

  #frame(opcode: number, bytes: Buffer, start: number, end: number): void {
    if (opcode === OPCODE.ping && this.#manner === 'mute') return;
    if (opcode === OPCODE.ping) return this.#send(OPCODE.pong, bytes.subarray(start, end));
    if (opcode === OPCODE.close) return this.#closed(bytes.readUInt16BE(start));
    if (bytes.compare(MESSAGE_HEAD, 0, MESSAGE_HEAD.length, start, start + MESSAGE_HEAD.length) === 0) {
      return this.#message(bytes, end - TAIL_LENGTH);
    }
    const frame = JSON.parse(bytes.toString('utf8', start, end)) as OtherFrame;
    const { type } = frame;
    if (type === 'subscribed') this.#onSubscribed(frame);
    else if (type === 'error') this.#fail(new Error(bytes.toString('utf8', start, end)));
    else this.#others.push(type);
  }

  #onSubscribed({ position, recovered }: OtherFrame): void {
    this.#begin ??= position;
    this.#recovered = recovered ?? null;
    this.#isSubscribed = true;
    if (this.#manner === 'stalled') this.stall();
    this.#subscribed.resolve();
  }

  #closed(code: number): void {
    this.#closeCode ??= code;
    this.#send(OPCODE.close, Buffer.from([code >> 8, code & 0xff]));
    this.#socket.end();
  }

  #message(bytes: Buffer, at: number): void {
    const order = this.#previous.compare(bytes, at, at + POSITION_LENGTH);
    if (order >= 0) this.#disorders++;
    if (this.#previous.compare(bytes, at, at + TRANSACTION_LENGTH, 0, TRANSACTION_LENGTH) !== 0) this.#transactions++;
    bytes.copy(this.#previous, 0, at, at + POSITION_LENGTH);
    this.#firstPosition ??= this.#previous.toString('latin1');
    this.#messages++;
  }

  #send(opcode: number, payload: Buffer): void {
    if (!this.#socket.writable) return;
    const mask = randomBytes(4);
    const head = payload.length < 126 ? [0x80 | payload.length] : [0xfe, payload.length >> 8, payload.length & 0xff];
    const masked = Buffer.from(payload.map((byte, index) => byte ^ (mask[index % 4] as number)));
    this.#socket.write(Buffer.concat([Buffer.from([0x80 | opcode, ...head]), mask, masked]));
  }
}
