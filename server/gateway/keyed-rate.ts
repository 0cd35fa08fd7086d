// Owns a rate for each of many keys, in bounded memory: a bucket that is full again is as good as none, and beyond
// the bound the one that was used longest ago is forgotten.

import { TokenBucket } from './token-bucket.ts';

export type KeyedRateOptions = {
  readonly perSecond: number;
  readonly burst: number;
  /** Keys remembered. Default 10,000. */
  readonly maxKeys?: number | undefined;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
};

export class KeyedRate {
  readonly #options: KeyedRateOptions;
  // In order of use: the first was used longest ago.
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(options: KeyedRateOptions) {
    this.#options = options;
  }

  get perSecond(): number {
    return this.#options.perSecond;
  }

  /** How many keys are remembered. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Takes `count` for `key`, or nothing: then the milliseconds until it can be taken; else 0. */
  take(key: string, count: number): number {
    const bucket = this.#buckets.get(key) ?? this.#newBucket();
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    return bucket.take(count) ? 0 : Math.max(1, Math.ceil(bucket.waitMs(count)));
  }

  #newBucket(): TokenBucket {
    const maxKeys = this.#options.maxKeys ?? 10_000;
    for (const [key, bucket] of this.#buckets) {
      if (!bucket.isFull && this.#buckets.size < maxKeys) break;
      this.#buckets.delete(key);
    }
    return new TokenBucket(this.#options);
  }
}
