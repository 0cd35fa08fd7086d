// Owns the counting of a rate: a bucket that refills steadily and allows a burst.

export type TokenBucketOptions = {
  readonly perSecond: number;
  readonly burst: number;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
};

export class TokenBucket {
  readonly #options: TokenBucketOptions;
  #level: number;
  #filledAt: number;

  constructor(options: TokenBucketOptions) {
    this.#options = options;
    this.#level = options.burst;
    this.#filledAt = options.now();
  }

  /** Takes one; false if there is none. */
  take(): boolean {
    const { perSecond, burst, now } = this.#options;
    const at = now();
    this.#level = Math.min(burst, this.#level + ((at - this.#filledAt) / 1000) * perSecond);
    this.#filledAt = at;
    if (this.#level < 1) return false;
    this.#level -= 1;
    return true;
  }
}
