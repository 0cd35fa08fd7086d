// @ts-check
// Owns the waits between attempts: doubling, the upper half of each drawn at random, so that the clients of
// a restarted server do not come back at one moment.

export class Backoff {
  #initialMs;
  #maxMs;
  #nextMs;

  /** @param {{ initialMs: number, maxMs: number }} options */
  constructor({ initialMs, maxMs }) {
    this.#initialMs = initialMs;
    this.#maxMs = maxMs;
    this.#nextMs = initialMs;
  }

  /** Milliseconds before the next attempt. */
  next() {
    const ceilingMs = this.#nextMs;
    this.#nextMs = Math.min(ceilingMs * 2, this.#maxMs);
    return ceilingMs / 2 + (Math.random() * ceilingMs) / 2;
  }

  reset() {
    this.#nextMs = this.#initialMs;
  }
}
