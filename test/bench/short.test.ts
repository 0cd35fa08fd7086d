// The benches in their short form: every case runs, everything that was sent arrives, and each says its
// figures. No figure is judged here, for a test has no quiet machine.

import { expect, it } from 'vitest';
import type { BenchCase } from '../../bench/bench-case.ts';
import { CASES } from '../../bench/cases.ts';
import { type Figure, Report } from '../../bench/report.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { drawn } from '../rig/scale.ts';

const TIMEOUT_MS = 180_000;

async function figuresOf({ run }: BenchCase): Promise<readonly Figure[]> {
  const report = new Report((line) => console.log(line));
  await run({ serverUrl: newestPostgres().url, size: 'short', repeats: 1, report });
  return report.figures;
}

async function check(bench: BenchCase): Promise<void> {
  const figures = await figuresOf(bench);
  expect(figures.length).toBeGreaterThan(1);
  expect(figures.every(({ bench: name }) => name === bench.name)).toBe(true);
  expect(figures.filter(({ rate, p50Ms }) => !((rate ?? p50Ms ?? 0) > 0))).toEqual([]);
  expect(figures.some(({ ratio }) => ratio !== undefined)).toBe(true);
}

/** Two of them in every run, all in the soak. */
it.each(drawn(CASES, 2))('the bench $name runs, misses nothing, and compares with its baseline', check, TIMEOUT_MS);
