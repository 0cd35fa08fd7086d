// Owns how many replays and snapshots work on the database at once, in all and for one connection. The others wait, in
// the order in which they came; a connection that has all it may lets others go first.

type Waiting = { readonly key: string; readonly go: () => void };

/** Gives a turn back; again does nothing. */
export type Release = () => void;

export class ReplayTurns {
  readonly #maxAtOnce: number;
  readonly #maxOfOne: number;
  readonly #taken = new Map<string, number>();
  #waiting: Waiting[] = [];
  #count = 0;

  constructor(maxAtOnce: number, maxOfOne: number) {
    this.#maxAtOnce = maxAtOnce;
    this.#maxOfOne = maxOfOne;
  }

  get active(): number {
    return this.#count;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Waits for a turn of the connection `key`; undefined once `signal` is aborted. */
  take(key: string, signal: AbortSignal): Promise<Release | undefined> {
    if (signal.aborted) return Promise.resolve(undefined);
    if (this.#mayGo(key)) return Promise.resolve(this.#grant(key));
    return new Promise((resolve) => {
      const onAbort = (): void => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        resolve(undefined);
      };
      const go = (): void => {
        signal.removeEventListener('abort', onAbort);
        resolve(this.#grant(key));
      };
      const waiting: Waiting = { key, go };
      this.#waiting.push(waiting);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  #mayGo(key: string): boolean {
    return this.#count < this.#maxAtOnce && (this.#taken.get(key) ?? 0) < this.#maxOfOne;
  }

  #grant(key: string): Release {
    this.#count += 1;
    this.#taken.set(key, (this.#taken.get(key) ?? 0) + 1);
    let isGiven = false;
    return () => {
      if (isGiven) return;
      isGiven = true;
      this.#giveBack(key);
    };
  }

  #giveBack(key: string): void {
    this.#count -= 1;
    const left = (this.#taken.get(key) ?? 1) - 1;
    if (left === 0) this.#taken.delete(key);
    else this.#taken.set(key, left);
    const next = this.#waiting.findIndex((waiting) => this.#mayGo(waiting.key));
    if (next !== -1) (this.#waiting.splice(next, 1)[0] as Waiting).go();
  }
}
