// Owns how many sockets an address and a user may have at once, authenticated or not: a place is taken before a
// socket is let in, and given back when it has ended.

import type { Identity } from '../auth/identity.ts';
import type { Refusal } from '../protocol/error-codes.ts';
import { type Place, takePlace } from './held-places.ts';

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
    return takePlace(this.#addresses, address, this.limits.perAddress);
  }

  /** The same for a user; whoever has no `sub` is limited by the address alone. */
  ofUser({ sub }: Pick<Identity, 'sub'>): Place | undefined {
    return sub === null ? NO_PLACE : takePlace(this.#users, sub, this.limits.perUser);
  }
}

export function tooManyOfAddress({ perAddress }: ConnectionLimits): Refusal {
  return { code: 'rate_limited', message: `Too many connections: an address may have ${perAddress}` };
}

export function tooManyOfUser({ perUser }: ConnectionLimits): Refusal {
  return { code: 'rate_limited', message: `Too many connections: a user may have ${perUser}` };
}
