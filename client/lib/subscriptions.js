// @ts-check
// Owns the subscriptions of a client, and which of them a frame is for. They outlive links; ids do not.

import { RowcastError } from './rowcast-error.js';
import { wait } from './wait.js';

/**
 * @typedef {import('./link.js').Link} Link
 * @typedef {import('./link.js').Frame} Frame
 * @typedef {import('./subscription.js').ClientSubscription} ClientSubscription
 */

export class Subscriptions {
  #onError;
  /** @type {Set<ClientSubscription>} */
  #all = new Set();
  /** @type {Map<string, ClientSubscription>} */
  #byId = new Map();
  /** Waits after a refusal, and those before it is asked for anew. @type {Set<AbortController>} */
  #refused = new Set();
  /** @type {Set<AbortController>} */
  #renewed = new Set();

  /** @param {(error: RowcastError) => void} onError */
  constructor(onError) {
    this.#onError = onError;
  }

  /**
   * @param {ClientSubscription} subscription
   * @param {Link | undefined} link the link if it is connected
   */
  add(subscription, link) {
    this.#all.add(subscription);
    if (link !== undefined) this.#ask(subscription, link);
  }

  /**
   * Forgets a subscription that has ended, and tells the server.
   * @param {ClientSubscription} subscription
   * @param {Link | undefined} link
   */
  async remove(subscription, link) {
    const id = subscription.subscriptionId;
    this.#all.delete(subscription);
    // Without an id its reply is still to come, and is answered by an `unsubscribe` then.
    if (id === null || link === undefined) return;
    this.#byId.delete(id);
    await endOnServer(id, link);
  }

  /** @param {Link} link */
  subscribeAll(link) {
    for (const subscription of this.#all) this.#ask(subscription, link);
  }

  /**
   * @param {Frame} frame
   * @param {Link} link
   */
  receive(frame, link) {
    switch (frame.type) {
      case 'message':
        for (const subscription of this.#targets(frame)) subscription.onMessage(frame);
        return;
      case 'snapshot':
        return this.#byId.get(frame.subscriptionId)?.onSnapshot(frame);
      case 'live':
        return this.#byId.get(frame.subscriptionId)?.onLive(frame);
      case 'gap':
        for (const subscription of this.#targets(frame)) {
          const id = subscription.subscriptionId;
          if (subscription.onGap(frame)) this.#askAnew(subscription, id, link);
        }
        return;
      case 'unsubscribed':
        return this.#onEnded(frame, link);
    }
  }

  /**
   * Takes new rows for `subscription`, or for all that have rows: what may be seen is not what it was.
   * @param {Link | undefined} link
   * @param {Iterable<ClientSubscription>} [subscriptions]
   */
  renewRows(link, subscriptions = this.#all) {
    for (const subscription of subscriptions) {
      if (!subscription.hasSnapshots || subscription.isEnded) continue;
      const id = subscription.subscriptionId;
      subscription.forgetRows();
      if (id !== null && link !== undefined) this.#askAnew(subscription, id, link);
    }
  }

  /** Asks at once for what was refused for the moment: the server can be asked again. */
  retryNow() {
    for (const waiting of this.#refused) waiting.abort();
  }

  onDisconnected() {
    this.#byId.clear();
    this.#endWaits();
    for (const subscription of this.#all) subscription.onDisconnected();
  }

  /** @param {RowcastError} error */
  endAll(error) {
    for (const subscription of this.#all) subscription.end(error);
    this.#all.clear();
    this.#byId.clear();
    this.#endWaits();
  }

  /**
   * Asks until the server says yes, or no for good, or the link ends.
   * @param {ClientSubscription} subscription
   * @param {Link} link
   */
  async #ask(subscription, link) {
    while (!link.isEnded && !subscription.isEnded) {
      try {
        await link.request(subscription.request(), (reply) => this.#onSubscribed(subscription, reply, link));
        return;
      } catch (error) {
        if (link.isEnded) return;
        this.#onRefused(subscription, /** @type {RowcastError} */ (error));
      }
      await pause(subscription, this.#refused);
    }
  }

  /**
   * Ends it under the id that the server knows, and asks for it again a little later: all other clients may be
   * doing the same.
   * @param {ClientSubscription} subscription
   * @param {string | null} id
   * @param {Link} link
   */
  async #askAnew(subscription, id, link) {
    if (id !== null) this.#byId.delete(id);
    if (id !== null) endOnServer(id, link);
    await pause(subscription, this.#renewed);
    if (!link.isEnded && this.#all.has(subscription)) await this.#ask(subscription, link);
  }

  #endWaits() {
    for (const waiting of [...this.#refused, ...this.#renewed]) waiting.abort();
  }

  /**
   * @param {ClientSubscription} subscription
   * @param {Frame} reply
   * @param {Link} link
   */
  #onSubscribed(subscription, reply, link) {
    if (subscription.isEnded) return void endOnServer(reply.subscriptionId, link);
    this.#byId.set(reply.subscriptionId, subscription);
    if (subscription.onSubscribed(reply)) this.#askAnew(subscription, reply.subscriptionId, link);
  }

  /**
   * @param {ClientSubscription} subscription
   * @param {RowcastError} error
   */
  #onRefused(subscription, error) {
    this.#onError(error);
    if (error.retryable) return;
    this.#all.delete(subscription);
    subscription.end(error);
  }

  /**
   * @param {Frame} frame
   * @param {Link} link
   */
  #onEnded({ subscriptionId, reason }, link) {
    const subscription = this.#byId.get(subscriptionId);
    if (subscription === undefined) return;
    this.#byId.delete(subscriptionId);
    if (reason === 'snapshot_failed' || reason === 'replay_failed') {
      if (reason === 'snapshot_failed') subscription.forgetRows();
      else subscription.leave();
      return void this.#askAnew(subscription, null, link);
    }
    this.#all.delete(subscription);
    subscription.end(new RowcastError(reason ?? 'unsubscribed', 'The server ended the subscription'));
  }

  /**
   * Frames name their subscription only where the channel has several. Two tables of one name in two schemas
   * are two channels of one spelling; their payloads say which.
   * @param {Frame} frame
   * @returns {ClientSubscription[]}
   */
  #targets({ subscriptionId, channel, payload }) {
    if (subscriptionId !== undefined) {
      const named = this.#byId.get(subscriptionId);
      return named === undefined ? [] : [named];
    }
    const all = [...this.#byId.values()];
    const onChannel = channel === undefined ? all : all.filter((subscription) => subscription.channel === channel);
    if (onChannel.length < 2 || typeof payload?.schema !== 'string') return onChannel;
    return onChannel.filter((subscription) => subscription.schema === payload.schema);
  }
}

/**
 * @param {ClientSubscription} subscription
 * @param {Set<AbortController>} waits
 */
async function pause({ retry }, waits) {
  const waiting = new AbortController();
  waits.add(waiting);
  await wait(retry.next(), waiting.signal);
  waits.delete(waiting);
}

/**
 * @param {string} subscriptionId
 * @param {Link} link
 */
async function endOnServer(subscriptionId, link) {
  // If the server does not know it any more, or is gone itself, it has ended as well.
  await link.request({ type: 'unsubscribe', subscriptionId }).catch(() => {});
}
