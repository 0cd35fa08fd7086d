// Owns the waiting between attempts: exponential with full jitter, and a sleep that an abort ends at once.

export type BackoffOptions = {
  readonly initialMs: number;
  readonly maxMs: number;
};

/** Delays that double from `initialMs` to `maxMs`, each drawn from the upper half of its range. */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #random: () => number;
  #nextMs: number;

  constructor(options: BackoffOptions, random: () => number = Math.random) {
    this.#options = options;
    this.#random = random;
    this.#nextMs = options.initialMs;
  }

  /** The delay before the next attempt, in milliseconds; the one after it is twice as long. */
  next(): number {
    const ceilingMs = this.#nextMs;
    this.#nextMs = Math.min(ceilingMs * 2, this.#options.maxMs);
    return ceilingMs / 2 + (this.#random() * ceilingMs) / 2;
  }

  /** Starts again at `initialMs`, after something worked. */
  reset(): void {
    this.#nextMs = this.#options.initialMs;
  }
}

/** Resolves after `ms`, or as soon as `signal` is aborted: look at the signal afterwards. Never rejects. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}
