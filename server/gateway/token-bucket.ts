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

  get isFull(): boolean {
    this.#fill();
    return this.#level >= this.#options.burst;
  }

  /** Takes `count`, or none of them: false. More than the burst is taken from a full bucket, and made up for later. */
  take(count = 1): boolean {
    this.#fill();
    if (this.#level < this.#needed(count)) return false;
    this.#level -= count;
    return true;
  }

  /** Milliseconds until `count` can be taken; 0 if they can now. */
  waitMs(count = 1): number {
    this.#fill();
    return (Math.max(0, this.#needed(count) - this.#level) / this.#options.perSecond) * 1000;
  }

  #needed(count: number): number {
    return Math.min(count, this.#options.burst);
  }

  #fill(): void {
    const { perSecond, burst, now } = this.#options;
    const at = now();
    this.#level = Math.min(burst, this.#level + ((at - this.#filledAt) / 1000) * perSecond);
    this.#filledAt = at;
  }
}
