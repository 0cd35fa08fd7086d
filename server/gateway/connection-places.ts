// Owns how many sockets an address and a user may have at once, authenticated or not: a place is taken before a
// socket is let in, and given back when it has ended.

import type { Identity } from '../auth/identity.ts';
import type { Refusal } from '../protocol/error-codes.ts';

/** Gives the place back; more than once does nothing. */
export type Place = () => void;

export type ConnectionLimits = { readonly perAddress: number; readonly perUser: number };

const NO_PLACE: Place = () => {};

export class ConnectionPlaces {
  readonly limits: ConnectionLimits;
  readonly #addresses = new Map<string, number>();
  readonly #users = new Map<string, number>();

  /** `limits` may be infinite. */
  constructor(limits: ConnectionLimits) {
    this.limits = limits;
  }

  /** A place for one more socket of `address`; undefined if it has as many as it may. */
  ofAddress(address: string): Place | undefined {
    return take(this.#addresses, address, this.limits.perAddress);
  }

  /** The same for a user; whoever has no `sub` is limited by the address alone. */
  ofUser({ sub }: Pick<Identity, 'sub'>): Place | undefined {
    return sub === null ? NO_PLACE : take(this.#users, sub, this.limits.perUser);
  }
}

export function tooManyOfAddress({ perAddress }: ConnectionLimits): Refusal {
  return { code: 'rate_limited', message: `Too many connections: an address may have ${perAddress}` };
}

export function tooManyOfUser({ perUser }: ConnectionLimits): Refusal {
  return { code: 'rate_limited', message: `Too many connections: a user may have ${perUser}` };
}

function take(held: Map<string, number>, key: string, limit: number): Place | undefined {
  const count = held.get(key) ?? 0;
  if (count >= limit) return undefined;
  held.set(key, count + 1);
  let isHeld = true;
  return () => {
    if (isHeld) giveBack(held, key);
    isHeld = false;
  };
}

function giveBack(held: Map<string, number>, key: string): void {
  const left = (held.get(key) ?? 1) - 1;
  if (left === 0) held.delete(key);
  else held.set(key, left);
}
