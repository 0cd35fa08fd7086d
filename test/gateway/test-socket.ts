// Owns a client socket for tests: it keeps every frame it got, and waits for frames and for the close by
// condition, never by time.

import { WebSocket } from 'ws';

export type Frame = Record<string, unknown> & { readonly type: string };
export type Closed = { readonly code: number; readonly reason: string };

export class TestSocket {
  readonly webSocket: WebSocket;
  readonly opened: Promise<void>;
  /** Rejects never: an error before the opening is a close with code 1006. */
  readonly closed: Promise<Closed>;
  readonly frames: Frame[] = [];
  #taken = 0;
  #wake: (() => void)[] = [];
  #isClosed = false;

  constructor(url: string, headers: Record<string, string> = {}) {
    this.webSocket = new WebSocket(url, { headers, perMessageDeflate: false });
    this.opened = new Promise((resolve, reject) => {
      this.webSocket.once('open', resolve);
      this.webSocket.once('error', reject);
    });
    this.closed = new Promise((resolve) => {
      this.webSocket.once('close', (code, reason) => {
        this.#isClosed = true;
        resolve({ code, reason: reason.toString() });
        this.#wakeAll();
      });
    });
    this.webSocket.on('error', () => {});
    this.webSocket.on('message', (data) => {
      this.frames.push(JSON.parse(data.toString()) as Frame);
      this.#wakeAll();
    });
  }

  send(frame: unknown): void {
    this.sendText(JSON.stringify(frame));
  }

  sendText(text: string): void {
    this.webSocket.send(text);
  }

  /** The next frame not yet taken; rejects if the socket closes before it comes. */
  async next(): Promise<Frame> {
    while (this.#taken >= this.frames.length) {
      if (this.#isClosed) throw new Error(`closed, and no frame after ${JSON.stringify(this.frames)}`);
      await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
    return this.frames[this.#taken++] as Frame;
  }

  /** The next frame, which must be of this type. */
  async frame(type: string): Promise<Frame> {
    const frame = await this.next();
    if (frame.type !== type) throw new Error(`expected ${type}, got ${JSON.stringify(frame)}`);
    return frame;
  }

  /** Sends a frame and returns the next one that comes. */
  async ask(frame: unknown): Promise<Frame> {
    this.send(frame);
    return this.next();
  }

  terminate(): void {
    this.webSocket.terminate();
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}
