// Owns the decisions that are remembered for a moment, so that a thousand clients of one class that come at
// once ask the database once. Only what was allowed is kept: a right that was just granted works at once.

import type { SubscribeDecision } from './subscribe-decision.ts';

export type DecisionCacheOptions = {
  /** How long after its question an answer may be given again. */
  readonly maxAgeMs: number;
  readonly maxEntries: number;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
};

type Flight = { readonly number: number; readonly startedAt: number; readonly decision: Promise<SubscribeDecision> };

export class DecisionCache {
  readonly #options: DecisionCacheOptions;
  readonly #flights = new Map<string, Flight>();
  #started = 0;

  constructor(options: DecisionCacheOptions) {
    this.#options = options;
  }

  /**
   * The decision for `key`: a remembered one, or the answer of `ask`. A refusal is never older than this call.
   * Rejects as `ask` does.
   */
  async get(key: string, ask: () => Promise<SubscribeDecision>): Promise<SubscribeDecision> {
    const startedBefore = this.#started;
    for (;;) {
      const known = this.#flights.get(key);
      const flight = known !== undefined && this.#isFresh(known) ? known : this.#start(key, ask);
      const decision = await flight.decision;
      if (decision.allowed || flight.number > startedBefore) return decision;
    }
  }

  /** Remembers nothing any more; whoever asks from here on gets an answer that is read from here on. */
  forget(): void {
    this.#flights.clear();
  }

  #isFresh({ startedAt }: Flight): boolean {
    return this.#options.now() - startedAt < this.#options.maxAgeMs;
  }

  #start(key: string, ask: () => Promise<SubscribeDecision>): Flight {
    this.#started += 1;
    const flight: Flight = { number: this.#started, startedAt: this.#options.now(), decision: ask() };
    this.#makeRoom();
    this.#flights.delete(key);
    this.#flights.set(key, flight);
    flight.decision.then(
      ({ allowed }) => allowed || this.#drop(key, flight),
      () => this.#drop(key, flight),
    );
    return flight;
  }

  #drop(key: string, flight: Flight): void {
    if (this.#flights.get(key) === flight) this.#flights.delete(key);
  }

  // The oldest come first in a Map.
  #makeRoom(): void {
    if (this.#flights.size < this.#options.maxEntries) return;
    const oldest = this.#flights.keys().next();
    if (!oldest.done) this.#flights.delete(oldest.value);
  }
}
