// @ts-check
// Owns the subscriptions of a client, and which of them a frame is for. They outlive links; ids do not.

import { Backoff } from './backoff.js';
import { RowcastError } from './rowcast-error.js';
import { wait } from './wait.js';

/**
 * @typedef {import('./link.js').Link} Link
 * @typedef {import('./link.js').Frame} Frame
 * @typedef {import('./subscription.js').ClientSubscription} ClientSubscription
 */

const RETRY = { initialMs: 500, maxMs: 30_000 };

export class Subscriptions {
  #onError;
  /** @type {Set<ClientSubscription>} */
  #all = new Set();
  /** @type {Map<string, ClientSubscription>} */
  #byId = new Map();

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

  /** @param {Frame} frame */
  receive(frame) {
    switch (frame.type) {
      case 'message':
        for (const subscription of this.#targets(frame)) subscription.onMessage(frame);
        return;
      case 'gap':
        for (const subscription of this.#targets(frame)) subscription.onGap(frame);
        return;
      case 'live':
        return this.#byId.get(frame.subscriptionId)?.onLive(frame);
      case 'unsubscribed':
        return this.#onEnded(frame);
    }
  }

  onDisconnected() {
    this.#byId.clear();
    for (const subscription of this.#all) subscription.onDisconnected();
  }

  /** @param {RowcastError} error */
  endAll(error) {
    for (const subscription of this.#all) subscription.end(error);
    this.#all.clear();
    this.#byId.clear();
  }

  /**
   * Asks until the server says yes, or no for good, or the link ends.
   * @param {ClientSubscription} subscription
   * @param {Link} link
   */
  async #ask(subscription, link) {
    const backoff = new Backoff(RETRY);
    const over = new AbortController();
    link.ended.then(() => over.abort());
    while (!link.isEnded && !subscription.isEnded) {
      try {
        await link.request(subscription.request(), (reply) => this.#onSubscribed(subscription, reply, link));
        return;
      } catch (error) {
        if (link.isEnded) return;
        this.#onRefused(subscription, /** @type {RowcastError} */ (error));
      }
      await wait(backoff.next(), over.signal);
    }
  }

  /**
   * @param {ClientSubscription} subscription
   * @param {Frame} reply
   * @param {Link} link
   */
  #onSubscribed(subscription, reply, link) {
    if (subscription.isEnded) return void endOnServer(reply.subscriptionId, link);
    this.#byId.set(reply.subscriptionId, subscription);
    subscription.onSubscribed(reply);
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

  /** @param {Frame} frame */
  #onEnded({ subscriptionId, reason }) {
    const subscription = this.#byId.get(subscriptionId);
    if (subscription === undefined) return;
    this.#byId.delete(subscriptionId);
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
 * @param {string} subscriptionId
 * @param {Link} link
 */
async function endOnServer(subscriptionId, link) {
  // If the server does not know it any more, or is gone itself, it has ended as well.
  await link.request({ type: 'unsubscribe', subscriptionId }).catch(() => {});
}
