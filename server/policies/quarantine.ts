// Owns which questions are not asked for a while: a policy that does not answer in time would hold up the
// stream for everybody. Each time it fails again it is left alone for longer. Where most identities of one
// role are held, it is not the identity: the policies of the role are held as a whole.

export type QuarantineOptions = {
  readonly initialMs: number;
  readonly maxMs: number;
  /** So many held questions of one group hold the group, if they are half of it. */
  readonly groupAfter: number;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
};

/** What is held: one question, and the group of those that differ by identity alone. */
export type Holdable = { readonly key: string; readonly group: string };

type Held = { readonly until: number; readonly forMs: number; readonly group: string };

const MAX_HELD = 10_000;

export class Quarantine {
  readonly #options: QuarantineOptions;
  readonly #held = new Map<string, Held>();

  constructor(options: QuarantineOptions) {
    this.#options = options;
  }

  /** How many questions and groups are held at the moment. */
  get size(): number {
    return this.#heldNow().length;
  }

  /** Whether something failed lately: what is asked is watched more closely then. */
  get isAlert(): boolean {
    return this.#held.size > 0;
  }

  isHeld({ key, group }: Holdable): boolean {
    if (this.#held.size === 0) return false;
    const now = this.#options.now();
    return this.#until(key) > now || this.#until(group) > now;
  }

  /** Holds a question, one of `groupSize` that are asked; returns for how long. */
  hold({ key, group }: Holdable, groupSize: number): number {
    const forMs = this.#hold(key, group);
    const siblings = this.#heldNow().filter((held) => held.group === group).length;
    if (siblings >= Math.max(this.#options.groupAfter, groupSize / 2)) this.#hold(group, '');
    return forMs;
  }

  #hold(key: string, group: string): number {
    const { initialMs, maxMs, now } = this.#options;
    const before = this.#held.get(key);
    // Long after its last time it begins anew.
    const isRepeated = before !== undefined && now() < before.until + before.forMs;
    const forMs = isRepeated ? Math.min(before.forMs * 2, maxMs) : initialMs;
    this.#held.delete(key);
    this.#held.set(key, { until: now() + forMs, forMs, group });
    if (this.#held.size > MAX_HELD) this.#held.delete(this.#held.keys().next().value as string);
    return forMs;
  }

  #until(key: string): number {
    return this.#held.get(key)?.until ?? 0;
  }

  #heldNow(): readonly Held[] {
    const now = this.#options.now();
    return [...this.#held.values()].filter(({ until }) => until > now);
  }
}
