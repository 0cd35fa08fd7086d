// Owns how many sockets may be open without having authenticated: so many an address, so many in all.
// Counted before anything of the socket is parsed.

export type UnauthenticatedLimits = { readonly perAddress: number; readonly total: number };

export type Admission =
  | { readonly ok: true; readonly release: () => void }
  | { readonly ok: false; readonly limit: keyof UnauthenticatedLimits };

export class UnauthenticatedSockets {
  readonly #limits: UnauthenticatedLimits;
  readonly #perAddress = new Map<string, number>();
  #total = 0;

  constructor(limits: UnauthenticatedLimits) {
    this.#limits = limits;
  }

  get total(): number {
    return this.#total;
  }

  /** Counts one socket until `release`, which may be called more than once. */
  admit(address: string): Admission {
    const held = this.#perAddress.get(address) ?? 0;
    if (held >= this.#limits.perAddress) return { ok: false, limit: 'perAddress' };
    if (this.#total >= this.#limits.total) return { ok: false, limit: 'total' };
    this.#perAddress.set(address, held + 1);
    this.#total += 1;
    let isHeld = true;
    const release = (): void => {
      if (isHeld) this.#release(address);
      isHeld = false;
    };
    return { ok: true, release };
  }

  #release(address: string): void {
    this.#total -= 1;
    const left = (this.#perAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#perAddress.delete(address);
    else this.#perAddress.set(address, left);
  }
}
