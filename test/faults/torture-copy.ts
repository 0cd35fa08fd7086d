// Owns a copy of a table that is kept by the bare protocol: a snapshot, then the changes that it does not contain, over
// as many connections as it takes. A connection that ends before the snapshot is whole begins it anew.

import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import type { ChangeFrame, Frame } from '../app/test-client.ts';
import type { Interest } from './torture-interest.ts';

export type CopyOptions = {
  readonly url: string;
  readonly token: string;
  readonly interest: Interest;
  readonly complain: (text: string) => void;
};

type Row = Readonly<Record<string, unknown>>;

const RECONNECT_MS = 50;
const RETRY_MS = 200;

export class Copy {
  readonly #options: CopyOptions;
  readonly #running: Promise<void>;
  #socket: WebSocket | undefined;
  #isStopped = false;
  #position: string | undefined;
  /** Rows of a snapshot that is not yet whole. */
  #fresh: Map<unknown, Row> | undefined;
  rows = new Map<unknown, Row>();
  /** Whether it stands where changes stand. */
  isLive = false;
  snapshots = 0;
  resumes = 0;
  changes = 0;

  constructor(options: CopyOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  get interest(): Interest {
    return this.#options.interest;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#socket?.terminate();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      await this.#connection();
      this.isLive = false;
      // Half a snapshot is none; one that was whole is resumed from its position.
      this.#fresh = undefined;
      await sleep(RECONNECT_MS);
    }
  }

  #connection(): Promise<void> {
    const { url, token } = this.#options;
    const socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` }, perMessageDeflate: false });
    this.#socket = socket;
    socket.on('open', () => this.#subscribe());
    socket.on('message', (data) => this.#receive(JSON.parse(String(data)) as Frame));
    socket.on('error', () => undefined);
    return new Promise((resolve) => socket.on('close', () => resolve()));
  }

  #subscribe(): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    const { channel, filter } = this.interest;
    const since = this.#position === undefined ? {} : { since: this.#position };
    this.#socket.send(
      JSON.stringify({ type: 'subscribe', channel, snapshot: true, ref: 'copy', ...(filter && { filter }), ...since }),
    );
  }

  #receive(frame: Frame): void {
    switch (frame.type) {
      case 'subscribed':
        return this.#onSubscribed(frame);
      case 'snapshot':
        return this.#onSnapshot(frame as Frame & { readonly rows: readonly Row[]; readonly done: boolean });
      case 'message':
        return this.#apply(frame as ChangeFrame);
      case 'live':
        this.isLive = true;
        this.#position = String(frame.position);
        return;
      case 'gap':
        return this.#beginAnew();
      case 'unsubscribed':
        this.#options.complain(`${frame.channel}: ended: ${frame.reason}`);
        return this.#beginAnew();
      case 'error':
        return this.#onError(frame);
      default:
        return undefined;
    }
  }

  #onSubscribed({ recovered }: Frame): void {
    if (recovered === true) {
      this.resumes++;
      return;
    }
    this.#fresh = new Map();
    this.#position = undefined;
  }

  #onSnapshot({ rows, done }: { readonly rows: readonly Row[]; readonly done: boolean }): void {
    for (const row of rows) this.#fresh?.set(row.id, row);
    if (!done || this.#fresh === undefined) return;
    this.rows = this.#fresh;
    this.#fresh = undefined;
    this.snapshots++;
  }

  #apply({ event, payload, position }: ChangeFrame): void {
    if (this.#fresh !== undefined)
      this.#options.complain(`${this.interest.channel}: a change before the snapshot is whole`);
    this.changes++;
    this.#position = position;
    if (event === 'DELETE') this.rows.delete(payload.old?.id);
    else if (payload.new !== null) this.rows.set(payload.new.id, payload.new);
  }

  #beginAnew(): void {
    this.#position = undefined;
    this.#socket?.close();
  }

  #onError({ code, message, retryable }: Frame): void {
    if (retryable !== true) this.#options.complain(`${this.interest.channel}: ${code}: ${message}`);
    const socket = this.#socket;
    setTimeout(() => {
      if (socket === this.#socket) this.#subscribe();
    }, RETRY_MS);
  }
}
