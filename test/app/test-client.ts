// Owns a bare WebSocket client for tests of the server: it keeps every frame in the order of arrival, and
// waits for the one a test wants. The product's own client is tested elsewhere.

import { until } from '../rig/until.ts';

export type Frame = { readonly type: string; readonly [field: string]: unknown };

export type ChangeFrame = Frame & {
  readonly channel: string;
  readonly event: string;
  readonly messageId: string;
  readonly position: string;
  readonly payload: {
    readonly schema: string;
    readonly table: string;
    readonly new: Record<string, unknown> | null;
    readonly old: Record<string, unknown> | null;
    readonly unchanged?: readonly string[];
    readonly truncated?: boolean;
  };
};

export class TestClient {
  readonly frames: Frame[] = [];
  readonly #socket: WebSocket;
  closeCode: number | undefined;

  /** Connects and authenticates. */
  static async connect(url: string, token: string): Promise<TestClient> {
    const client = new TestClient(new WebSocket(url));
    await client.#opened();
    client.send({ type: 'auth', token });
    await client.next('auth_success');
    return client;
  }

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener('message', (event) => this.frames.push(JSON.parse(String(event.data))));
    socket.addEventListener('close', (event) => {
      this.closeCode = event.code;
    });
  }

  send(frame: object): void {
    this.sendText(JSON.stringify(frame));
  }

  /** Sends a frame as it stands there. */
  sendText(text: string): void {
    this.#socket.send(text);
  }

  /** Subscribes and returns the `subscribed` frame; throws the refusal. */
  async subscribe(channel: string, more: object = {}): Promise<Frame> {
    const ref = `s${this.frames.length}-${channel}`.slice(0, 64);
    this.send({ type: 'subscribe', channel, ref, ...more });
    const reply = await until(() => this.frames.find((frame) => frame.ref === ref), {
      what: `an answer for ${channel}`,
    });
    if (reply.type !== 'subscribed') throw new Error(`${reply.code}: ${reply.message} ${reply.detail ?? ''}`);
    return reply;
  }

  /** The first frame of `type`, as soon as there is one. */
  next(type: string): Promise<Frame> {
    return until(() => this.frames.find((frame) => frame.type === type), { what: `a ${type} frame` });
  }

  /** All changes so far. */
  changes(): ChangeFrame[] {
    return this.frames.filter((frame): frame is ChangeFrame => frame.type === 'message');
  }

  /** Waits for `count` changes and returns them; more than that fails. */
  async received(count: number, timeoutMs = 10_000): Promise<ChangeFrame[]> {
    await until(() => this.changes().length >= count, { what: `${count} changes`, timeoutMs });
    if (this.changes().length > count) throw new Error(`${this.changes().length} changes came, ${count} were expected`);
    return this.changes();
  }

  async close(): Promise<void> {
    this.#socket.close();
    await until(() => this.closeCode !== undefined, { what: 'the socket to close' });
  }

  #opened(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.addEventListener('open', () => resolve(), { once: true });
      this.#socket.addEventListener('error', () => reject(new Error('the socket could not be opened')), { once: true });
    });
  }
}
