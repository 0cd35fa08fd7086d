// Owns how often an address may do something: so many times in a window that begins with the first, in
// bounded memory. Used for failed tokens (a good one costs nothing, so that a busy proxy is not locked out by
// its own users) and for requests.

export type AddressLimitOptions = {
  /** How often in one window. */
  readonly perWindow: number;
  readonly windowMs: number;
  /** Addresses remembered; beyond it the oldest window is forgotten. Default 10,000. */
  readonly maxAddresses?: number | undefined;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
};

type Window = { readonly startedAt: number; count: number };

export class AddressLimit {
  readonly #options: AddressLimitOptions;
  // In order of `startedAt`: the first is the oldest.
  readonly #windows = new Map<string, Window>();

  constructor(options: AddressLimitOptions) {
    this.#options = options;
  }

  /** Milliseconds for which `address` has to wait; 0 if it may go on. */
  blockedMs(address: string): number {
    const window = this.#current(address);
    if (window === undefined || window.count < this.#options.perWindow) return 0;
    return window.startedAt + this.#options.windowMs - this.#options.now();
  }

  /** Counts one. */
  note(address: string): void {
    const window = this.#current(address);
    if (window !== undefined) {
      window.count += 1;
      return;
    }
    this.#makeRoom();
    this.#windows.set(address, { startedAt: this.#options.now(), count: 1 });
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
