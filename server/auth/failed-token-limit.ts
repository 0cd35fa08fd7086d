// Owns how often an address may show a bad token: so many a minute, in fixed windows, in bounded memory.
// A good token costs nothing, so a busy address behind one proxy is not locked out by its own users.

export type FailedTokenLimitOptions = {
  /** Failures an address may have in one window. */
  readonly maxFailures: number;
  readonly windowMs: number;
  /** Addresses remembered; beyond it the oldest window is forgotten. Default 10,000. */
  readonly maxAddresses?: number | undefined;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
};

type Window = { readonly startedAt: number; failures: number };

export class FailedTokenLimit {
  readonly #options: FailedTokenLimitOptions;
  // In order of `startedAt`: the first is the oldest.
  readonly #windows = new Map<string, Window>();

  constructor(options: FailedTokenLimitOptions) {
    this.#options = options;
  }

  /** Milliseconds for which no token of `address` is looked at; 0 if it may try. */
  blockedMs(address: string): number {
    const window = this.#current(address);
    if (window === undefined || window.failures < this.#options.maxFailures) return 0;
    return window.startedAt + this.#options.windowMs - this.#options.now();
  }

  noteFailure(address: string): void {
    const window = this.#current(address);
    if (window !== undefined) {
      window.failures += 1;
      return;
    }
    this.#makeRoom();
    this.#windows.set(address, { startedAt: this.#options.now(), failures: 1 });
  }

  #current(address: string): Window | undefined {
    const window = this.#windows.get(address);
    if (window === undefined || this.#isOpen(window)) return window;
    this.#windows.delete(address);
    return undefined;
  }

  #makeRoom(): void {
    const maxAddresses = this.#options.maxAddresses ?? 10_000;
    for (const [address, window] of this.#windows) {
      if (this.#isOpen(window) && this.#windows.size < maxAddresses) return;
      this.#windows.delete(address);
    }
  }

  #isOpen(window: Window): boolean {
    return this.#options.now() - window.startedAt < this.#options.windowMs;
  }
}
