// Owns how much the fault tests do: a short form that every run affords, and the long one of `npm run soak`.

import { randomInt } from 'node:crypto';

export const isSoak = process.env.ROWCAST_TEST_SOAK === '1';

/** `short`, or `long` under `npm run soak`. */
export function scaled(short: number, long: number): number {
  return isSoak ? long : short;
}

/** The seed of this run: ROWCAST_TEST_SEED, else a new one. Print it. */
export const seed = Number(process.env.ROWCAST_TEST_SEED ?? randomInt(2 ** 31));

/** Numbers in [0, 1) that follow from the seed (mulberry32). */
export function randomFrom(start: number): () => number {
  let state = start >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** So many of `all`, drawn by the seed; all of them under `npm run soak`. */
export function drawn<T>(all: readonly T[], count: number): T[] {
  const from = seed % all.length;
  return [...all.slice(from), ...all.slice(0, from)].slice(0, scaled(count, all.length));
}

/** Prints a figure so that it shows in the log of a run. */
export function figure(text: string): void {
  process.stdout.write(`  ${text}\n`);
}
