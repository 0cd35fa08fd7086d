// Owns one connection of a raw subscriber from its opening to its end: it subscribes trails, with `since` where they
// have seen something, and notes in them what comes. A server that falls silent is given up.

import { WebSocket } from 'ws';
import type { ChangeFrame, Frame } from '../app/test-client.ts';
import type { Sightings, Trail } from './torture-trail.ts';

export type RawLinkOptions = {
  readonly url: string;
  readonly token: string;
  readonly sightings: Sightings;
  /** Told what should not happen, in words. */
  readonly complain: (text: string) => void;
};

type Asked = { readonly trail: Trail; readonly since: string | undefined; readonly isSnapshot: boolean };
type Subscribed = {
  readonly id: string;
  readonly trail: Trail;
  isLive: boolean;
  /** An `unsubscribe` is on its way; how it shall begin again. */
  ending: 'resume' | 'snapshot' | undefined;
};

const LOOK_MS = 250;
const ASK_AFTER_MS = 1_000;
const GIVE_UP_AFTER_MS = 3_000;
const RETRY_MS = 200;

export class RawLink {
  readonly #options: RawLinkOptions;
  readonly #socket: WebSocket;
  readonly #asked = new Map<number, Asked>();
  readonly #subscribed = new Map<string, Subscribed>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #watch: NodeJS.Timeout;
  readonly ended: Promise<void>;
  isEnded = false;
  /** Nothing more counts: it is on its way out. */
  #isLeft = false;
  #refs = 0;
  #heardAt = performance.now();
  #isPaused = false;
  /** The highest position that a live subscription of this connection got. */
  #lastLive = '';

  constructor(options: RawLinkOptions) {
    this.#options = options;
    const headers = { authorization: `Bearer ${options.token}` };
    this.#socket = new WebSocket(options.url, { headers, perMessageDeflate: false });
    this.#socket.on('message', (data) => this.#receive(JSON.parse(String(data)) as Frame));
    this.#socket.on('ping', () => this.#hear());
    this.#socket.on('open', () => this.#hear());
    this.#socket.on('error', () => undefined);
    this.ended = new Promise((resolve) => this.#socket.on('close', () => resolve(this.#end())));
    this.#watch = setInterval(() => this.#look(), LOOK_MS);
  }

  /** Subscribes, now or once it is open; asks again while the server cannot answer. */
  subscribe(trail: Trail, isSnapshot = false): void {
    if (this.#socket.readyState === WebSocket.CONNECTING) {
      this.#socket.once('open', () => this.subscribe(trail, isSnapshot));
      return;
    }
    const { channel, filter } = trail.interest;
    const ref = ++this.#refs;
    const since = isSnapshot ? undefined : trail.position;
    this.#asked.set(ref, { trail, since, isSnapshot });
    const start = { ...(since !== undefined && { since }), ...(isSnapshot && { snapshot: true }) };
    this.#send({ type: 'subscribe', channel, ref, ...(filter && { filter }), ...start });
  }

  /** Ends the subscription of `trail` and makes another one, from where it stands or with the rows as they are. */
  resubscribe(trail: Trail, how: 'resume' | 'snapshot'): void {
    const old = [...this.#subscribed.values()].find((one) => one.trail === trail);
    if (old === undefined || old.ending !== undefined) return;
    old.ending = how;
    this.#send({ type: 'unsubscribe', subscriptionId: old.id });
  }

  pause(): void {
    this.#isPaused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#hear();
    this.#socket.resume();
  }

  /** Cut without a word. */
  terminate(): void {
    this.#socket.terminate();
  }

  close(): void {
    this.#socket.close();
  }

  #receive(frame: Frame): void {
    if (this.#isLeft) return;
    this.#hear();
    switch (frame.type) {
      case 'message':
        return this.#message(frame as ChangeFrame);
      case 'subscribed':
        return this.#onSubscribed(frame);
      case 'live':
        return this.#onLive(frame);
      case 'gap':
        return this.#gap(frame);
      case 'unsubscribed':
        return this.#onUnsubscribed(frame);
      case 'error':
        return this.#onError(frame);
      default:
        return undefined;
    }
  }

  #message(frame: ChangeFrame): void {
    const seen = this.#options.sightings.see(frame);
    const targets = this.#targets(frame);
    if (targets.length !== 1)
      this.#options.complain(`${targets.length} subscriptions for a message on ${frame.channel}`);
    for (const { trail, isLive } of targets) {
      trail.add({ kind: 'message', seen });
      if (!isLive) continue;
      if (seen.position < this.#lastLive) trail.add({ kind: 'crossed', seen, behind: this.#lastLive });
      else this.#lastLive = seen.position;
    }
  }

  #onSubscribed({ ref, subscriptionId, position, recovered, reason }: Frame): void {
    const asked = this.#asked.get(Number(ref));
    if (asked === undefined) return this.#options.complain(`subscribed without being asked: ${ref}`);
    this.#asked.delete(Number(ref));
    const { trail, since, isSnapshot } = asked;
    const id = String(subscriptionId);
    this.#subscribed.set(id, { id, trail, isLive: since === undefined && !isSnapshot, ending: undefined });
    if (isSnapshot) trail.add({ kind: 'snapshot', position: String(position) });
    else if (since === undefined) trail.add({ kind: 'fresh', position: String(position) });
    else if (recovered === true) trail.add({ kind: 'recovered', since });
    else trail.add({ kind: 'unrecovered', position: String(position), reason: String(reason) });
  }

  #onLive({ subscriptionId, position }: Frame): void {
    const subscribed = this.#subscribed.get(String(subscriptionId));
    if (subscribed === undefined) return;
    subscribed.isLive = true;
    subscribed.trail.add({ kind: 'live', position: String(position) });
  }

  #gap(frame: Frame): void {
    const { from, to, reason } = frame as Frame & { readonly from: string | null; readonly to: string };
    // What was left out is in history: whoever resumes from before gets it.
    if (reason === 'wal_fuse') return this.#leave();
    for (const { trail } of this.#targets(frame)) trail.add({ kind: 'gap', from, to, reason: String(reason) });
  }

  #leave(): void {
    this.#isLeft = true;
    this.terminate();
  }

  #onUnsubscribed({ subscriptionId, channel, reason }: Frame): void {
    const subscribed = this.#subscribed.get(String(subscriptionId));
    // A database that breaks in the middle of a snapshot, behind rows that were sent; told as an error that passes.
    const isCutSnapshot = reason === 'snapshot_failed';
    if (reason !== undefined && !isCutSnapshot) this.#options.complain(`the server ended ${channel}: ${reason}`);
    if (subscribed === undefined) return;
    this.#subscribed.delete(subscribed.id);
    this.subscribe(subscribed.trail, isCutSnapshot || subscribed.ending === 'snapshot');
  }

  #onError({ ref, code, message, retryable }: Frame): void {
    const asked = this.#asked.get(Number(ref));
    if (retryable !== true) this.#options.complain(`${asked?.trail.interest.channel ?? ''} ${code}: ${message}`);
    if (asked === undefined) return;
    this.#asked.delete(Number(ref));
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.subscribe(asked.trail, asked.isSnapshot);
    }, RETRY_MS);
    this.#timers.add(timer);
  }

  // Frames name their subscription only where the connection has several on the channel.
  #targets({ subscriptionId, channel }: Frame): Subscribed[] {
    const all = [...this.#subscribed.values()];
    if (subscriptionId !== undefined) return all.filter(({ id }) => id === subscriptionId);
    return channel === undefined ? all : all.filter(({ trail }) => trail.interest.channel === channel);
  }

  #look(): void {
    if (this.#isPaused) return;
    const silentMs = performance.now() - this.#heardAt;
    if (silentMs > GIVE_UP_AFTER_MS) this.terminate();
    else if (silentMs > ASK_AFTER_MS) this.#send({ type: 'ping' });
  }

  #hear(): void {
    this.#heardAt = performance.now();
  }

  #send(frame: object): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  #end(): void {
    this.isEnded = true;
    clearInterval(this.#watch);
    for (const timer of this.#timers) clearTimeout(timer);
  }
}
