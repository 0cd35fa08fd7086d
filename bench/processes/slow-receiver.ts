// Clients that read badly, in a process of their own: each subscribes, reads in its manner, and comes back when it
// was cut, or after a while, so that there is always one of it. What they get is not looked at.

import { randomBytes } from 'node:crypto';
import { connect, type Socket, type TcpNetConnectOpts } from 'node:net';
import { answerCalls } from './answer-calls.ts';
import { clientFrame, FrameReader } from './frame-reader.ts';
import type { Manner, SlowOrder } from './slow-order.ts';

const TRICKLE_MS = 1_000;
/** Who does not read does not see that it was cut: by then it was, 2 s above its bound. */
const RENEW_MS = 7_000;

class SlowReceiver {
  readonly #order: SlowOrder;
  readonly #manner: Manner;
  #socket: Socket | undefined;
  #isReady = false;
  #timers: NodeJS.Timeout[] = [];

  constructor(order: SlowOrder, manner: Manner) {
    this.#order = order;
    this.#manner = manner;
  }

  open(): void {
    this.close();
    this.#isReady = false;
    const socket = connect({ port: this.#order.port, host: '127.0.0.1', ...this.#reading() });
    this.#socket = socket;
    const frames = new FrameReader(
      socket,
      () => 0,
      () => undefined,
    );
    socket.write(upgradeOf(this.#order));
    socket.on('data', (chunk: Buffer) => this.#read(chunk, frames));
    socket.on('error', () => undefined);
    socket.on('close', () => socket === this.#socket && this.#later(() => this.open(), 100));
    if (this.#manner === 'stalled' || this.#manner === 'trickling') this.#later(() => this.open(), RENEW_MS);
  }

  close(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = [];
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.destroy();
  }

  #read(chunk: Buffer, frames: FrameReader): void {
    if (!this.#isReady) return this.#subscribe();
    if (this.#manner === 'well') frames.read(chunk);
  }

  // The answer to the upgrade is taken for granted, and what comes with it is no message.
  #subscribe(): void {
    this.#isReady = true;
    this.#socket?.write(clientFrame(this.#order.subscribe ?? ''));
    if (this.#manner === 'stalled') this.#socket?.pause();
  }

  #reading(): Pick<TcpNetConnectOpts, 'onread'> {
    if (this.#manner !== 'trickling') return {};
    let head = '';
    const callback = (_count: number, bytes: Uint8Array): boolean => {
      head += String.fromCharCode(bytes[0] ?? 0);
      if (!this.#isReady && head.endsWith('\r\n\r\n')) this.#subscribe();
      if (this.#isReady) this.#later(() => this.#socket?.resume(), TRICKLE_MS);
      return !this.#isReady;
    };
    return { onread: { buffer: Buffer.alloc(1), callback } };
  }

  #later(call: () => void, ms: number): void {
    this.#timers.push(setTimeout(call, ms));
  }
}

function upgradeOf({ path, token }: SlowOrder): string {
  return (
    `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
    `Authorization: Bearer ${token}\r\nSec-WebSocket-Version: 13\r\n` +
    `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`
  );
}

let receivers: SlowReceiver[] = [];

function stop(): void {
  for (const receiver of receivers) receiver.close();
  receivers = [];
}

answerCalls({
  /** Those of before leave. */
  read: (order: SlowOrder) => {
    stop();
    receivers = order.manners.map((manner) => new SlowReceiver(order, manner));
    for (const receiver of receivers) receiver.open();
  },
  stop,
});
