// Owns a bell: who waits for it goes on when it rings, or after a time. A ring that nobody waits for is remembered.

import { pause } from '../lib/backoff.ts';

export class Wake {
  #bell = new AbortController();

  /** Rings. */
  up(): void {
    this.#bell.abort();
  }

  /** Resolves at the next ring, after `ms`, or when `signal` is aborted. One waits at a time. */
  async next(ms: number, signal: AbortSignal): Promise<void> {
    await pause(ms, AbortSignal.any([this.#bell.signal, signal]));
    if (this.#bell.signal.aborted) this.#bell = new AbortController();
  }
}
