// @ts-check
// Owns one subscription as the application holds it: it outlives connections, asks for what it missed, drops
// what it has seen, and ends once.

import { Progress } from './progress.js';
import { Retry } from './retry.js';
import { RowcastError } from './rowcast-error.js';

/**
 * @typedef {import('../rowcast.d.ts').Subscription} Subscription
 * @typedef {import('../rowcast.d.ts').SubscriptionStatus} SubscriptionStatus
 * @typedef {import('./link.js').Frame} Frame
 * @typedef {import('../rowcast.d.ts').SubscribeOptions<any> & {
 *   onSnapshot?: (frame: Frame) => void,
 *   onEnd?: (error: RowcastError) => void,
 * }} SubscribeOptions with `onSnapshot` rows are asked for wherever what was missed cannot be had
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
  /** Until `live`, messages lie behind those that are sent to others. */
  #isCatchingUp = false;
  /** Whether the rows of the last snapshot are complete, and everything after them was seen. */
  #isWhole = false;
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
    this.retry = new Retry();
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

  get hasSnapshots() {
    return this.#options.onSnapshot !== undefined;
  }

  /**
   * The frame that asks for it, with `since` where something was seen.
   * @returns {Frame}
   */
  request() {
    const { filter, echo } = this.#options;
    const since = this.#since();
    return {
      type: 'subscribe',
      channel: this.channel,
      ...(filter === undefined ? {} : { filter }),
      ...(echo === undefined ? {} : { echo }),
      ...(this.hasSnapshots ? { snapshot: true } : {}),
      ...(since === null ? {} : { since }),
    };
  }

  /**
   * True if it has to be asked for anew: its rows were given up while the reply was on its way.
   * @param {Frame} frame
   */
  onSubscribed({ subscriptionId, position, recovered, reason, warnings }) {
    if (recovered === true && this.hasSnapshots && !this.#isWhole) return true;
    const from = this.position;
    this.#id = subscriptionId;
    // Of a snapshot that was cut nothing can be resumed: it holds some of the changes after its position, and not others.
    if (recovered !== true) this.#isWhole = false;
    this.#isCatchingUp = recovered !== undefined || this.hasSnapshots;
    if (!this.#isCatchingUp) this.retry.succeeded();
    this.#resolveReady();
    this.#tell({ type: 'subscribed', subscriptionId, position, warnings: warnings ?? [] });
    // While a replay is on its way, the last position is that of its last message.
    if (recovered === true) return false;
    this.#progress.startAt(position);
    if (recovered === false) this.#tell({ type: 'gap', reason, from, to: position });
    return false;
  }

  /** @param {Frame} frame */
  onSnapshot(frame) {
    if (!this.#isEnded) this.#owner.guard(() => this.#options.onSnapshot?.(frame));
  }

  /** @param {Frame} frame */
  onLive({ position }) {
    this.#isCatchingUp = false;
    this.#isWhole = true;
    this.retry.succeeded();
    this.#progress.meet(position);
    this.#tell({ type: 'live', position });
  }

  /** @param {Frame} frame */
  onMessage(frame) {
    const message = /** @type {import('../rowcast.d.ts').Message<any>} */ (/** @type {unknown} */ (frame));
    if (this.#isEnded || !this.#progress.isNew(message)) return;
    this.#owner.guard(() => this.#options.onMessage?.(message));
  }

  /**
   * True if it has to be asked for again, for then it can be made whole.
   * @param {Frame} frame
   */
  onGap({ reason, from, to }) {
    // What the server withheld is in history.
    if (reason === 'wal_fuse') return this.leave();
    if (reason === 'epoch_changed' && !this.#isCatchingUp) this.#progress.startAt(to);
    // A replay comes to the gap later; what lies before it is still on its way.
    else if (!this.#isCatchingUp) this.#progress.reach(to);
    this.#tell({ type: 'gap', reason, from, to });
    return this.hasSnapshots && this.forgetRows();
  }

  /** The rows of its snapshot are not what is to be seen any more. Returns true: it has to be asked for again. */
  forgetRows() {
    this.#isWhole = false;
    return this.leave();
  }

  /** It is no longer what the server knows by its id, and will be asked for again. Returns true. */
  leave() {
    this.#id = null;
    this.#tell({ type: 'behind' });
    return true;
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
    this.#owner.guard(() => this.#options.onEnd?.(error));
  }

  /** @returns {Promise<void>} */
  unsubscribe() {
    if (this.#isEnded) return Promise.resolve();
    this.#isEnded = true;
    this.#rejectReady(new RowcastError('closed', 'Unsubscribed before it was subscribed'));
    return this.#owner.onUnsubscribe(this);
  }

  #since() {
    return this.hasSnapshots && !this.#isWhole ? null : this.position;
  }

  /** @param {SubscriptionStatus} status */
  #tell(status) {
    if (!this.#isEnded) this.#owner.guard(() => this.#options.onStatus?.(status));
  }
}
