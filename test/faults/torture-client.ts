// Owns a subscriber that uses the product's own client: it does nothing but listen. Its sockets are dropped and held
// up from below at random, and what the client tells an application must have no hole that it does not name.

import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { type Client, createClient, type Message, type SubscriptionStatus } from '../../client/rowcast.js';
import type { ChangeFrame } from '../app/test-client.ts';
import type { Subscriber } from './torture-subscriber.ts';
import type { Sightings, Trail } from './torture-trail.ts';

export type ClientSubscriberOptions = {
  readonly url: string;
  readonly token: string;
  readonly sightings: Sightings;
  readonly trails: readonly Trail[];
  readonly random: () => number;
  readonly complain: (text: string) => void;
  /** Told each `system` frame's status. */
  readonly onSystem?: ((status: string) => void) | undefined;
  /** Never dropped nor held up. */
  readonly isCalm?: boolean | undefined;
};

const QUICK = {
  backoff: { initialMs: 50, maxMs: 500 },
  stableAfterMs: 500,
  idleMs: 1_000,
  pongTimeoutMs: 2_000,
  connectTimeoutMs: 3_000,
};

export class ClientSubscriber implements Subscriber {
  readonly #options: ClientSubscriberOptions;
  readonly #client: Client;
  readonly #running: Promise<void>;
  readonly #stop = new AbortController();
  readonly #subscribedAt = new Map<Trail, string>();
  #socket: WebSocket | undefined;
  #isCalm = false;

  constructor(options: ClientSubscriberOptions) {
    this.#options = options;
    const { url, token, trails } = options;
    this.#client = createClient(url, { ...QUICK, token, webSocket: this.#socketClass() });
    this.#client.on('error', (error) => {
      if (!error.retryable) options.complain(`client: ${error.code}: ${error.message}`);
    });
    this.#client.on('system', ({ status }) => options.onSystem?.(status));
    this.#isCalm = options.isCalm ?? false;
    for (const trail of trails) this.#listen(trail);
    this.#running = this.#run();
  }

  get trails(): readonly Trail[] {
    return this.#options.trails;
  }

  calm(): void {
    this.#isCalm = true;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#client.close();
    this.#socket?.terminate();
  }

  #listen(trail: Trail): void {
    const { channel, filter } = trail.interest;
    this.#client.subscribe<ChangeFrame['payload']>(channel, {
      ...(filter && { filter }),
      onMessage: (message) => this.#message(trail, message),
      onStatus: (status) => this.#status(trail, status),
    });
  }

  #message(trail: Trail, { position = '', messageId = '', event, payload }: Message<ChangeFrame['payload']>): void {
    trail.add({ kind: 'message', seen: this.#options.sightings.see({ position, messageId, event, payload }) });
  }

  #status(trail: Trail, status: SubscriptionStatus): void {
    if (status.type === 'subscribed') {
      this.#subscribedAt.set(trail, status.position);
      return subscribedAgain(trail, status.position);
    }
    if (status.type === 'live') return trail.add({ kind: 'live', position: status.position });
    if (status.type === 'gap') return gapAfter(trail, status, this.#subscribedAt.get(trail));
    if (status.type === 'ended' && !this.#stop.signal.aborted)
      this.#options.complain(`client: ${trail.interest.channel} ended: ${status.reason}`);
  }

  async #run(): Promise<void> {
    const { random } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await sleep(200 + random() * 3_000, undefined, { signal }).catch(() => undefined);
      if (signal.aborted || this.#isCalm) continue;
      if (random() < 0.5) this.#socket?.terminate();
      else await this.#holdUp(50 + random() * 1_500);
    }
  }

  async #holdUp(ms: number): Promise<void> {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return;
    socket.pause();
    await sleep(ms);
    socket.resume();
  }

  #socketClass(): new (url: string) => WebSocket {
    const take = (socket: WebSocket): void => {
      this.#socket = socket;
      socket.on('error', () => undefined);
    };
    return class extends WebSocket {
      constructor(url: string) {
        super(url, { perMessageDeflate: false });
        take(this);
      }
    };
  }
}

// The client says nothing of a resume that worked.
function subscribedAgain(trail: Trail, position: string): void {
  const since = trail.position;
  trail.add(since === undefined ? { kind: 'fresh', position } : { kind: 'recovered', since });
}

// A resume that did not work is told as a gap up to where the subscription begins. Any other gap that comes while a replay
// is under way lies ahead of it.
function gapAfter(
  trail: Trail,
  { from, to, reason }: Extract<SubscriptionStatus, { type: 'gap' }>,
  subscribedAt: string | undefined,
): void {
  const last = trail.entries.at(-1);
  if (last?.kind !== 'recovered' || to !== subscribedAt) return trail.add({ kind: 'gap', from, to, reason });
  trail.entries.pop();
  trail.add({ kind: 'unrecovered', position: to, reason });
}
