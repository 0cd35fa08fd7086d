// The clients of a case, all in one process apart from the server's: sockets that count what they get, and
// note when which row came where that is wanted. More than was expected is a failure.

import { randomBytes } from 'node:crypto';
import { connect as connectTcp, type Socket } from 'node:net';
import { sharedNow } from '../clock.ts';
import { answerCalls } from './answer-calls.ts';
import { clientFrame, FrameReader } from './frame-reader.ts';
import type { ConnectOrder, ExpectOrder, Received } from './receive-order.ts';

/** Sockets that are opened at once. */
const WAVE = 50;
const ROW_NUMBER = Buffer.from('"n":');
const HEAD_END = Buffer.from('\r\n\r\n');
/** The tenth byte of `{"type":"message"…`. */
const LETTER_M = 0x6d;
const ENOUGH_TO_COUNT = 16;

class Receiver {
  readonly #socket: Socket;
  readonly #onMessage: OnMessage;
  readonly #subscribed = Promise.withResolvers<void>();

  static async open(order: ConnectOrder, onMessage: OnMessage): Promise<Receiver> {
    const receiver = new Receiver(connectTcp(order.port, '127.0.0.1'), onMessage);
    await receiver.#upgrade(order);
    if (order.subscribe === undefined) return receiver;
    receiver.#socket.write(clientFrame(order.subscribe));
    await receiver.#subscribed.promise;
    return receiver;
  }

  private constructor(socket: Socket, onMessage: OnMessage) {
    this.#socket = socket;
    this.#onMessage = onMessage;
    socket.on('error', (error) => this.#subscribed.reject(error));
  }

  close(): void {
    this.#socket.destroy();
  }

  #upgrade({ path, token }: ConnectOrder): Promise<void> {
    const bearer = token === undefined ? '' : `Authorization: Bearer ${token}\r\n`;
    this.#socket.write(
      `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n${bearer}` +
        `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
    );
    return new Promise((resolve, reject) => {
      this.#socket.once('close', () => reject(new Error('the server closed the socket')));
      this.#socket.once('data', (head: Buffer) => {
        const end = head.indexOf(HEAD_END);
        const status = head.toString('latin1', 0, end);
        if (!status.startsWith('HTTP/1.1 101')) return reject(new Error(status));
        this.#readFrames(head.subarray(end + HEAD_END.length));
        resolve();
      });
    });
  }

  #readFrames(first: Buffer): void {
    const frames = new FrameReader(this.#socket, neededBytes, (bytes, start, end) => this.#text(bytes, start, end));
    if (first.length > 0) frames.read(first);
    this.#socket.on('data', (chunk: Buffer) => frames.read(chunk));
  }

  #text(bytes: Buffer, start: number, end: number): void {
    if (bytes[start + 9] === LETTER_M) return this.#onMessage(bytes, start, end);
    const { type, code } = JSON.parse(bytes.toString('utf8', start, end));
    if (type === 'subscribed') this.#subscribed.resolve();
    if (type === 'error') this.#subscribed.reject(new Error(`the server refuses: ${code}`));
  }
}

type OnMessage = (bytes: Buffer, start: number, end: number) => void;

const receivers: Receiver[] = [];
let left = 0;
let arrivals: number[] | undefined;
let done = Promise.withResolvers<Received>();

// A burst is counted by the beginnings of its frames.
function neededBytes(): number {
  return left > 0 && arrivals === undefined ? ENOUGH_TO_COUNT : Number.POSITIVE_INFINITY;
}

function onMessage(bytes: Buffer, start: number): void {
  if (left === 0) throw new Error('a message came that was not expected');
  if (arrivals !== undefined) arrivals.push(rowNumber(bytes, start), sharedNow());
  if (--left > 0) return;
  done.resolve({ doneAt: sharedNow(), arrivals: Float64Array.from(arrivals ?? []) });
}

function rowNumber(bytes: Buffer, start: number): number {
  let at = bytes.indexOf(ROW_NUMBER, start) + ROW_NUMBER.length;
  let value = 0;
  for (; (bytes[at] as number) >= 0x30 && (bytes[at] as number) <= 0x39; at++) {
    value = value * 10 + (bytes[at] as number) - 0x30;
  }
  return value;
}

async function connect(order: ConnectOrder): Promise<void> {
  for (let opened = 0; opened < order.count; opened += WAVE) {
    const wave = Math.min(WAVE, order.count - opened);
    receivers.push(...(await Promise.all(Array.from({ length: wave }, () => Receiver.open(order, onMessage)))));
  }
}

function expect({ messages, isTimed }: ExpectOrder): void {
  left = messages * receivers.length;
  arrivals = isTimed ? [] : undefined;
  done = Promise.withResolvers<Received>();
}

answerCalls({
  connect,
  expect,
  received: () => done.promise,
  stop: () => {
    for (const receiver of receivers) receiver.close();
  },
});
