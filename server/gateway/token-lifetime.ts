// Owns the two moments of a token's end on a long-lived connection: the notice some time before, and the
// expiry itself.

import { Deadline } from './deadline.ts';

export type TokenLifetimeOptions = {
  readonly noticeMs: number;
  /** Milliseconds of Unix time. */
  readonly wallClock: () => number;
  /** `expiresAtMs` in Unix time. */
  readonly onExpiring: (expiresAtMs: number) => void;
  readonly onExpired: () => void;
};

export class TokenLifetime {
  readonly #options: TokenLifetimeOptions;
  readonly #notice: Deadline;
  readonly #expiry: Deadline;

  constructor(options: TokenLifetimeOptions) {
    this.#options = options;
    this.#notice = new Deadline(options.wallClock);
    this.#expiry = new Deadline(options.wallClock);
  }

  /** Follows a token that expires at `expiresAt`, in Unix seconds; null never does. Forgets the one before. */
  follow(expiresAt: number | null): void {
    this.stop();
    if (expiresAt === null) return;
    const expiresAtMs = expiresAt * 1000;
    this.#notice.set(expiresAtMs - this.#options.noticeMs, () => this.#options.onExpiring(expiresAtMs));
    this.#expiry.set(expiresAtMs, this.#options.onExpired);
  }

  stop(): void {
    this.#notice.clear();
    this.#expiry.clear();
  }
}
