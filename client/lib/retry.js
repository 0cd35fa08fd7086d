// @ts-check
// Owns the waits before one subscription is asked for again. They grow while it fails, or goes wrong soon after it
// was well, and begin anew once it has been well for a while.

import { Backoff } from './backoff.js';

const WAITS = { initialMs: 500, maxMs: 30_000 };
const CALM_AFTER_MS = 10_000;

export class Retry {
  #backoff = new Backoff(WAITS);
  #wellSince = Number.POSITIVE_INFINITY;

  /** From now on all is well, as far as is known. */
  succeeded() {
    this.#wellSince = Date.now();
  }

  /** Milliseconds to wait before it is asked for again. */
  next() {
    if (Date.now() - this.#wellSince > CALM_AFTER_MS) this.#backoff.reset();
    this.#wellSince = Number.POSITIVE_INFINITY;
    return this.#backoff.next();
  }
}
