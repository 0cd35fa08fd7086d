// Owns random choices that follow from a seed: what a case is made of, and what its writers do.

import { randomFrom } from '../rig/scale.ts';

export class Dice {
  readonly #random: () => number;

  /** `random` gives numbers in [0, 1). */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** An integer in [0, bound). */
  below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }

  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** Each one with `probability`; at least one. */
  some<T>(list: readonly T[], probability: number): T[] {
    const chosen = list.filter(() => this.chance(probability));
    return chosen.length > 0 ? chosen : [this.pick(list)];
  }

  /** `count` different ones, in random order. */
  sample<T>(list: readonly T[], count: number): T[] {
    const rest = [...list];
    return Array.from({ length: Math.min(count, rest.length) }, () => rest.splice(this.below(rest.length), 1)[0] as T);
  }

  /** A source of its own, so that what several writers draw does not depend on who is faster. */
  fork(): Dice {
    return new Dice(randomFrom(this.below(2 ** 31)));
  }
}
