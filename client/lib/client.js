// @ts-check
// Owns the client's life: connect, authenticate, subscribe to everything again, and after each end what it asks for.

import { Backoff } from './backoff.js';
import { Emitter } from './emitter.js';
import { KnownIdentity } from './known-identity.js';
import { isLimited, lastWordOn } from './last-word.js';
import { closed, disconnected, errorOf, Link } from './link.js';
import { LiveTable } from './live-table.js';
import { RowcastError } from './rowcast-error.js';
import { socketUrl } from './socket-url.js';
import { ClientSubscription } from './subscription.js';
import { Subscriptions } from './subscriptions.js';
import { currentToken } from './token-source.js';
import { wait, within } from './wait.js';

/**
 * @typedef {import('../rowcast.d.ts').Client} Client
 * @typedef {import('../rowcast.d.ts').ClientOptions} ClientOptions
 * @typedef {import('../rowcast.d.ts').ClientStatus} ClientStatus
 * @typedef {import('../rowcast.d.ts').TokenSource} TokenSource
 * @typedef {import('./link.js').Frame} Frame
 * @typedef {import('./last-word.js').Ending} Ending
 */

/** @implements {Client} */
export class RealtimeClient {
  #url;
  #options;
  /** @type {TokenSource | undefined} */
  #token;
  #emitter = new Emitter();
  #subscriptions;
  #backoff;
  #stop = new AbortController();
  /** @type {ClientStatus} */
  #status = 'idle';
  #identity = new KnownIdentity();
  /** @type {Link | undefined} */
  #link = undefined;
  /** @type {Promise<void> | undefined} */
  #running = undefined;
  /** @type {() => void} */
  #resolveConnected = () => {};
  /** @type {(error: RowcastError) => void} */
  #rejectConnected = () => {};
  /** @type {Promise<void>} */
  #connected;

  /**
   * @param {string} url
   * @param {ClientOptions} options
   */
  constructor(url, options) {
    this.#url = socketUrl(url);
    this.#options = { ...DEFAULTS, ...options };
    this.#token = options.token;
    this.#backoff = new Backoff({ initialMs: 250, maxMs: 30_000, ...options.backoff });
    this.#subscriptions = new Subscriptions((error) => this.#emitter.emit('error', error));
    this.#connected = new Promise((resolve, reject) => {
      this.#resolveConnected = resolve;
      this.#rejectConnected = reject;
    });
    this.#connected.catch(() => {});
  }

  get status() {
    return this.#status;
  }

  get identity() {
    return this.#identity.current;
  }

  /** @returns {Promise<void>} */
  connect() {
    this.#running ??= this.#run();
    return this.#connected;
  }

  /**
   * @param {string} channel
   * @param {import('../rowcast.d.ts').SubscribeOptions<any>} [options]
   */
  subscribe(channel, options = {}) {
    const subscription = new ClientSubscription(channel, options, {
      guard: (call) => this.#emitter.guard(call),
      onUnsubscribe: (gone) => this.#subscriptions.remove(gone, this.#link),
    });
    if (this.#stop.signal.aborted) subscription.end(closed());
    else this.#subscriptions.add(subscription, this.#openLink());
    this.connect();
    return subscription;
  }

  /**
   * @param {string} name
   * @param {import('../rowcast.d.ts').TableOptions} [options]
   */
  table(name, options = {}) {
    return /** @type {any} */ (
      new LiveTable(options, {
        subscribe: (more) => this.subscribe(`db:${name}`, more),
        renew: (subscription) => this.#subscriptions.renewRows(this.#openLink(), [subscription]),
        guard: (call) => this.#emitter.guard(call),
      })
    );
  }

  /**
   * @param {TokenSource} token
   * @returns {Promise<void>}
   */
  async authenticate(token) {
    this.#token = token;
    if (this.#status === 'connected' && this.#link !== undefined) await this.#sendToken(this.#link);
    else await this.connect();
  }

  /**
   * @param {string} channel
   * @param {string} event
   * @param {unknown} [payload]
   * @param {import('../rowcast.d.ts').PublishOptions} [options]
   * @returns {Promise<import('../rowcast.d.ts').Published>}
   */
  async publish(channel, event, payload = null, { id } = {}) {
    const chosen = id === undefined ? {} : { id };
    const { messageId } = await this.#ask({ type: 'publish', channel, event, payload, ...chosen });
    return { messageId };
  }

  /** @returns {Promise<void>} */
  async ping() {
    await this.#ask({ type: 'ping' });
  }

  /**
   * @template {keyof import('../rowcast.d.ts').ClientEvents} Name
   * @param {Name} name
   * @param {import('../rowcast.d.ts').ClientEvents[Name]} listener
   */
  on(name, listener) {
    return this.#emitter.on(name, listener);
  }

  /** @returns {Promise<void>} */
  async close() {
    const link = this.#link;
    this.#finish(closed());
    link?.close();
    await this.#running;
    if (link !== undefined) await within(CLOSE_WAIT_MS, link.closed);
  }

  /**
   * Asks over the connection that there is; the first one is waited for.
   * @param {Frame} frame
   */
  async #ask(frame) {
    if (this.#stop.signal.aborted) throw closed();
    await this.connect();
    if (this.#link === undefined || this.#status !== 'connected') throw disconnected();
    return this.#link.request(frame);
  }

  async #run() {
    while (!this.#stop.signal.aborted) {
      const startedAt = Date.now();
      const ending = await this.#live();
      if (this.#stop.signal.aborted) return;
      if (Date.now() - startedAt > this.#options.stableAfterMs) this.#backoff.reset();
      const lastWord = lastWordOn(ending, this.#token);
      const told = lastWord ?? ending.failure;
      if (told !== undefined && told.code !== 'disconnected') this.#emitter.emit('error', told);
      if (lastWord !== undefined) return this.#finish(lastWord);
      this.#setStatus('waiting');
      await wait(
        Math.max(this.#backoff.next(), isLimited(ending) ? this.#options.tooManyFramesWaitMs : 0),
        this.#stop.signal,
      );
    }
  }

  /**
   * One link, from its opening to its end.
   * @returns {Promise<Ending>}
   */
  async #live() {
    this.#setStatus('connecting');
    const link = this.#makeLink();
    this.#link = link;
    const timer = setTimeout(() => link.close(), this.#options.connectTimeoutMs);
    /** @type {RowcastError | undefined} */
    let failure;
    const entered = this.#enter(link).catch((error) => {
      failure = error;
      link.close();
    });
    entered.then(() => clearTimeout(timer));
    const end = await link.ended;
    clearTimeout(timer);
    await entered;
    this.#link = undefined;
    this.#identity.lost();
    this.#subscriptions.onDisconnected();
    return { ...end, failure };
  }

  /** @param {Link} link */
  async #enter(link) {
    await Promise.race([link.opened, link.ended]);
    if (link.isEnded) return;
    if (this.#token !== undefined) await this.#sendToken(link);
    if (link.isEnded) return;
    this.#setStatus('connected');
    this.#resolveConnected();
    this.#subscriptions.subscribeAll(link);
  }

  /** @param {Link} link */
  async #sendToken(link) {
    const token = await Promise.race([currentToken(this.#token), link.ended.then(() => undefined)]);
    if (token === undefined) return;
    const { userId = null, role = '' } = await link.request({ type: 'auth', token });
    // Rows that one user sees are not another's.
    if (this.#identity.isAnother({ userId, role })) this.#subscriptions.renewRows(link);
  }

  /** The link, if frames can be sent on it. */
  #openLink() {
    return this.#status === 'connected' ? this.#link : undefined;
  }

  #makeLink() {
    const { webSocket, idleMs, pongTimeoutMs } = this.#options;
    /** @type {Link} */
    const link = new Link({
      url: this.#url,
      webSocket: webSocket ?? globalThis.WebSocket,
      idleMs,
      pongTimeoutMs,
      onFrame: (frame) => this.#receive(frame, link),
    });
    return link;
  }

  /**
   * @param {Frame} frame
   * @param {Link} link
   */
  #receive(frame, link) {
    switch (frame.type) {
      case 'error':
        return this.#emitter.emit('error', errorOf(frame));
      case 'system':
        if (frame.status === 'streaming') this.#subscriptions.retryNow();
        return this.#emitter.emit('system', /** @type {any} */ (frame));
      case 'token_expiring':
        return this.#renew(/** @type {any} */ (frame), link);
      default:
        return this.#subscriptions.receive(frame, link);
    }
  }

  /**
   * @param {{ expiresAt: string }} frame
   * @param {Link} link
   */
  #renew(frame, link) {
    if (typeof this.#token !== 'function') return this.#emitter.emit('tokenExpiring', frame);
    // If it fails, the server closes the connection in its time, and the callback is asked again.
    this.#sendToken(link).catch((error) => this.#emitter.emit('error', error));
  }

  /** @param {RowcastError} error */
  #finish(error) {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#subscriptions.endAll(error);
    this.#rejectConnected(error);
    this.#setStatus('closed');
  }

  /** @param {ClientStatus} status */
  #setStatus(status) {
    if (this.#status === status) return;
    this.#status = status;
    this.#emitter.emit('status', status);
  }
}

const CLOSE_WAIT_MS = 1_000;
const DEFAULTS = {
  stableAfterMs: 10_000,
  tooManyFramesWaitMs: 5_000,
  connectTimeoutMs: 15_000,
  idleMs: 30_000,
  pongTimeoutMs: 10_000,
};
