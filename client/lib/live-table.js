// @ts-check
// Owns a live copy of a table: the rows of a snapshot, kept equal to what a SELECT would show by the changes that
// follow it. A new snapshot takes the place of the old rows at once, when all of it is there.

import { RowCopy } from './row-copy.js';
import { RowcastError } from './rowcast-error.js';

/**
 * @typedef {import('../rowcast.d.ts').LiveTable} PublicTable
 * @typedef {import('../rowcast.d.ts').TableOptions} TableOptions
 * @typedef {import('../rowcast.d.ts').TableChange} TableChange
 * @typedef {import('../rowcast.d.ts').TableStatus} TableStatus
 * @typedef {import('../rowcast.d.ts').SubscriptionStatus} SubscriptionStatus
 * @typedef {import('../rowcast.d.ts').Message<import('../rowcast.d.ts').RowChange>} RowMessage
 * @typedef {import('./link.js').Frame} Frame
 * @typedef {import('./subscription.js').ClientSubscription} ClientSubscription
 * @typedef {import('./subscription.js').SubscribeOptions} SubscribeOptions
 * @typedef {{
 *   subscribe: (options: SubscribeOptions) => ClientSubscription,
 *   renew: (subscription: ClientSubscription) => void,
 *   guard: (call: () => void) => void,
 * }} TableOwner
 */

/** Epoch and commit LSN of a position. */
const TRANSACTION_LENGTH = 25;

/** @implements {PublicTable} */
export class LiveTable {
  #options;
  #owner;
  #subscription;
  #copy;
  /** The rows of a snapshot of which more is to come. @type {RowCopy | undefined} */
  #coming = undefined;
  /** @type {TableStatus} */
  #status = 'loading';
  /** @type {RowcastError | null} */
  #error = null;
  /** @type {readonly import('../rowcast.d.ts').Warning[]} */
  #warnings = [];
  /** @type {Set<(change: TableChange) => void>} */
  #onChange = new Set();
  /** @type {Set<(status: TableStatus) => void>} */
  #onStatus = new Set();
  /** @type {() => void} */
  #resolveReady = () => {};
  /** @type {(error: RowcastError) => void} */
  #rejectReady = () => {};

  /**
   * @param {TableOptions} options
   * @param {TableOwner} owner
   */
  constructor(options, owner) {
    this.#options = options;
    this.#owner = owner;
    this.#copy = new RowCopy(options.key ?? []);
    /** @type {Promise<void>} */
    this.ready = new Promise((resolve, reject) => {
      this.#resolveReady = resolve;
      this.#rejectReady = reject;
    });
    this.ready.catch(() => {});
    this.#subscription = owner.subscribe({
      ...filterOf(options),
      onMessage: (message) => this.#onMessage(message),
      onSnapshot: (frame) => this.#onSnapshot(frame),
      onStatus: (status) => this.#onSubscription(status),
      onEnd: (error) => this.#end(error),
    });
  }

  get rows() {
    return this.#copy.rows;
  }

  get size() {
    return this.#copy.size;
  }

  get status() {
    return this.#status;
  }

  get error() {
    return this.#error;
  }

  get warnings() {
    return this.#warnings;
  }

  get position() {
    return this.#subscription.position;
  }

  /** @param {unknown} key */
  get(key) {
    return this.#copy.get(key);
  }

  /** @param {Record<string, unknown>} row */
  isWhole(row) {
    return this.#copy.isWhole(row);
  }

  /** @param {(change: TableChange) => void} listener */
  onChange(listener) {
    this.#onChange.add(listener);
    return () => void this.#onChange.delete(listener);
  }

  /** @param {(status: TableStatus) => void} listener */
  onStatus(listener) {
    this.#onStatus.add(listener);
    return () => void this.#onStatus.delete(listener);
  }

  refresh() {
    if (this.#status !== 'ended') this.#owner.renew(this.#subscription);
  }

  /** @returns {Promise<void>} */
  async close() {
    this.#rejectReady(new RowcastError('closed', 'The copy was closed'));
    this.#setStatus('ended');
    await this.#subscription.unsubscribe();
  }

  /** @param {SubscriptionStatus} status */
  #onSubscription(status) {
    switch (status.type) {
      case 'subscribed':
        this.#warnings = status.warnings;
        this.#coming = undefined;
        return this.#becomeStale();
      case 'live':
        this.#setStatus('live');
        return this.#resolveReady();
      default:
        return this.#becomeStale();
    }
  }

  /** @param {Frame} frame */
  #onSnapshot({ key, rows, done, truncated = [] }) {
    this.#coming ??= new RowCopy(this.#options.key ?? key);
    const cut = new Set(truncated);
    for (const [index, row] of rows.entries()) {
      if (!this.#holds(() => this.#coming?.add(row, cut.has(index)))) return;
    }
    if (!done) return;
    this.#copy = this.#coming;
    this.#coming = undefined;
    this.#tell({ type: 'reset', row: null, old: null });
  }

  /** @param {RowMessage} message */
  #onMessage({ payload, position = '' }) {
    /** @type {TableChange | undefined} */
    let change;
    this.#holds(() => {
      change = this.#copy.apply(payload, position.slice(0, TRANSACTION_LENGTH));
    });
    if (change !== undefined) this.#tell(change);
  }

  /**
   * Ends the copy if `write` finds that its rows have no names; false then.
   * @param {() => void} write
   */
  #holds(write) {
    try {
      write();
      return true;
    } catch (error) {
      this.#end(/** @type {RowcastError} */ (error));
      this.#subscription.unsubscribe();
      return false;
    }
  }

  #becomeStale() {
    if (this.#status === 'live') this.#setStatus('stale');
  }

  /** @param {RowcastError} error */
  #end(error) {
    if (this.#status === 'ended') return;
    this.#error = error;
    this.#coming = undefined;
    this.#rejectReady(error);
    this.#setStatus('ended');
  }

  /** @param {TableStatus} status */
  #setStatus(status) {
    if (this.#status === status) return;
    this.#status = status;
    for (const listener of this.#onStatus) this.#owner.guard(() => listener(status));
  }

  /** @param {TableChange} change */
  #tell(change) {
    for (const listener of this.#onChange) this.#owner.guard(() => listener(change));
  }
}

/** @param {TableOptions} options */
function filterOf({ where, columns, schema }) {
  const filter = { ...(where && { where }), ...(columns && { columns }), ...(schema && { schema }) };
  return Object.keys(filter).length === 0 ? {} : { filter };
}
