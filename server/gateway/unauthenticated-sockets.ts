// Owns how many sockets may be open without having authenticated: so many an address, so many in all.
// Counted before anything of the socket is parsed.

import { takePlace } from './held-places.ts';

export type UnauthenticatedLimits = { readonly perAddress: number; readonly total: number };

export type Admission =
  | { readonly ok: true; readonly release: () => void }
  | { readonly ok: false; readonly limit: keyof UnauthenticatedLimits };

/** The key under which all sockets are counted. */
const ALL = '';

export class UnauthenticatedSockets {
  readonly #limits: UnauthenticatedLimits;
  readonly #perAddress = new Map<string, number>();
  readonly #all = new Map<string, number>();

  constructor(limits: UnauthenticatedLimits) {
    this.#limits = limits;
  }

  get total(): number {
    return this.#all.get(ALL) ?? 0;
  }

  /** Counts one socket until `release`, which may be called more than once. */
  admit(address: string): Admission {
    const ofAddress = takePlace(this.#perAddress, address, this.#limits.perAddress);
    if (ofAddress === undefined) return { ok: false, limit: 'perAddress' };
    const ofAll = takePlace(this.#all, ALL, this.#limits.total);
    if (ofAll === undefined) {
      ofAddress();
      return { ok: false, limit: 'total' };
    }
    const release = (): void => {
      ofAddress();
      ofAll();
    };
    return { ok: true, release };
  }
}
