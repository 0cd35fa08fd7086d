// Owns one-use tickets: a random text that stands for an identity for a short time, so that no token has to
// stand in a URL. In memory and bounded, in all and per identity; a ticket is good on this server only.

import { randomBytes } from 'node:crypto';
import type { Identity } from './identity.ts';

export type TicketBoxOptions = {
  readonly lifetimeMs: number;
  readonly maxTickets: number;
  readonly maxTicketsPerIdentity: number;
  /** Milliseconds of Unix time. */
  readonly wallClock: () => number;
};

export type IssuedTicket = {
  readonly ticket: string;
  /** Milliseconds of Unix time. */
  readonly expiresAtMs: number;
};

type Entry = { readonly identity: Identity; readonly expiresAtMs: number };

export class TicketBox {
  readonly #options: TicketBoxOptions;
  // All live equally long, so insertion order is the order of expiry.
  readonly #entries = new Map<string, Entry>();
  readonly #perClass = new Map<string, number>();

  constructor(options: TicketBoxOptions) {
    this.#options = options;
  }

  /** A new ticket for `identity`; undefined if the box is full, or holds too many of this identity. */
  issue(identity: Identity): IssuedTicket | undefined {
    this.#dropExpired();
    const { lifetimeMs, maxTickets, maxTicketsPerIdentity, wallClock } = this.#options;
    const held = this.#perClass.get(identity.classKey) ?? 0;
    if (this.#entries.size >= maxTickets || held >= maxTicketsPerIdentity) return undefined;
    const ticket = randomBytes(32).toString('base64url');
    const expiresAtMs = wallClock() + lifetimeMs;
    this.#entries.set(ticket, { identity, expiresAtMs });
    this.#perClass.set(identity.classKey, held + 1);
    return { ticket, expiresAtMs };
  }

  /** The identity behind `ticket`, once; undefined if it is unknown, used or too old, or its token has expired since. */
  redeem(ticket: string): Identity | undefined {
    const entry = this.#entries.get(ticket);
    if (entry === undefined) return undefined;
    this.#remove(ticket, entry);
    const nowMs = this.#options.wallClock();
    const tokenExpiresAtMs = (entry.identity.expiresAt ?? Number.POSITIVE_INFINITY) * 1000;
    return nowMs < entry.expiresAtMs && nowMs < tokenExpiresAtMs ? entry.identity : undefined;
  }

  #dropExpired(): void {
    const nowMs = this.#options.wallClock();
    for (const [ticket, entry] of this.#entries) {
      if (entry.expiresAtMs > nowMs) return;
      this.#remove(ticket, entry);
    }
  }

  #remove(ticket: string, { identity }: Entry): void {
    this.#entries.delete(ticket);
    const left = (this.#perClass.get(identity.classKey) ?? 1) - 1;
    if (left === 0) this.#perClass.delete(identity.classKey);
    else this.#perClass.set(identity.classKey, left);
  }
}
