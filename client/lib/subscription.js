// @ts-check
// Owns one subscription as the application holds it: it outlives connections, asks for what it missed, drops
// what it has seen, and ends once.

import { Progress } from './progress.js';
import { RowcastError } from './rowcast-error.js';

/**
 * @typedef {import('../rowcast.d.ts').Subscription} Subscription
 * @typedef {import('../rowcast.d.ts').SubscribeOptions<any>} SubscribeOptions
 * @typedef {import('../rowcast.d.ts').SubscriptionStatus} SubscriptionStatus
 * @typedef {import('./link.js').Frame} Frame
 * @typedef {{
 *   guard: (call: () => void) => void,
 *   onUnsubscribe: (subscription: ClientSubscription) => Promise<void>,
 * }} SubscriptionOwner
 */

/** @implements {Subscription} */
export class ClientSubscription {
  #options;
  #owner;
  #progress;
  #isEnded = false;
  /** @type {string | null} */
  #id = null;
  /** @type {() => void} */
  #resolveReady = () => {};
  /** @type {(error: RowcastError) => void} */
  #rejectReady = () => {};

  /**
   * @param {string} channel
   * @param {SubscribeOptions} options
   * @param {SubscriptionOwner} owner
   */
  constructor(channel, options, owner) {
    this.channel = channel;
    this.#options = options;
    this.#owner = owner;
    this.#progress = new Progress(options.since);
    /** @type {Promise<void>} */
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    // Who does not look at it hears of a refusal by onStatus.
    this.ready.catch(() => {});
  }

  get subscriptionId() {
    return this.#id;
  }

  get position() {
    return this.#progress.position;
  }

  get isEnded() {
    return this.#isEnded;
  }

  /** The schema that tells apart tables of one name, where frames do not name the subscription. */
  get schema() {
    return this.#options.filter?.schema ?? 'public';
  }

  /**
   * The frame that asks for it, with `since` where something was seen.
   * @returns {Frame}
   */
  request() {
    const { filter, echo } = this.#options;
    const since = this.position;
    return {
      type: 'subscribe',
      channel: this.channel,
      ...(filter === undefined ? {} : { filter }),
      ...(echo === undefined ? {} : { echo }),
      ...(since === null ? {} : { since }),
    };
  }

  /** @param {Frame} frame */
  onSubscribed({ subscriptionId, position, recovered, reason, warnings }) {
    const from = this.position;
    this.#id = subscriptionId;
    this.#resolveReady();
    this.#tell({ type: 'subscribed', subscriptionId, position, warnings: warnings ?? [] });
    // While a replay is on its way, the last position is that of its last message.
    if (recovered === true) return;
    this.#progress.reach(position);
    if (recovered === false) this.#tell({ type: 'gap', reason, from, to: position });
  }

  /** @param {Frame} frame */
  onLive({ position }) {
    this.#progress.reach(position);
    this.#tell({ type: 'live', position });
  }

  /** @param {Frame} frame */
  onMessage(frame) {
    const message = /** @type {import('../rowcast.d.ts').Message<any>} */ (/** @type {unknown} */ (frame));
    if (this.#isEnded || !this.#progress.isNew(message)) return;
    this.#owner.guard(() => this.#options.onMessage?.(message));
  }

  /** @param {Frame} frame */
  onGap({ reason, from, to }) {
    this.#progress.reach(to);
    this.#tell({ type: 'gap', reason, from, to });
  }

  onDisconnected() {
    const wasSubscribed = this.#id !== null;
    this.#id = null;
    if (wasSubscribed) this.#tell({ type: 'disconnected' });
  }

  /**
   * Refused for good, or ended by the server or by the client.
   * @param {RowcastError} error
   */
  end(error) {
    if (this.#isEnded) return;
    this.#tell({ type: 'ended', reason: error.code });
    this.#isEnded = true;
    this.#id = null;
    this.#rejectReady(error);
  }

  /** @returns {Promise<void>} */
  unsubscribe() {
    if (this.#isEnded) return Promise.resolve();
    this.#isEnded = true;
    this.#rejectReady(new RowcastError('closed', 'Unsubscribed before it was subscribed'));
    return this.#owner.onUnsubscribe(this);
  }

  /** @param {SubscriptionStatus} status */
  #tell(status) {
    if (!this.#isEnded) this.#owner.guard(() => this.#options.onStatus?.(status));
  }
}
