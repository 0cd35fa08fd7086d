// Owns when a failed attempt is made again: doubling from a base to a bound, with jitter, from twice the base where the
// receiver is in trouble (5xx, no answer in time), and never sooner than it asks for.

import type { AttemptResult } from './attempt-result.ts';

export type RetryRules = {
  readonly initialMs: number;
  readonly maxMs: number;
};

/** Longer than this nobody is waited for. */
export const MAX_RETRY_AFTER_MS = 3_600_000;

const SECONDS = /^\d{1,9}$/;

/** Milliseconds until the attempt after `attempts` failed ones. */
export function retryDelayMs(
  result: AttemptResult,
  attempts: number,
  { initialMs, maxMs }: RetryRules,
  random: () => number = Math.random,
): number {
  const baseMs = isTrouble(result) ? initialMs * 2 : initialMs;
  // An exponent without a bound would be Infinity in the end.
  const delayMs = Math.min(baseMs * 2 ** Math.min(attempts - 1, 40), maxMs);
  return Math.round(Math.max(delayMs * (0.5 + random() / 2), result.retryAfterMs ?? 0));
}

/** `Retry-After` as milliseconds from `nowMs` on, at most an hour; undefined if it says nothing. */
export function retryAfterMs(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  const waitMs = SECONDS.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isNaN(waitMs) ? undefined : Math.min(Math.max(waitMs, 0), MAX_RETRY_AFTER_MS);
}

function isTrouble({ kind, status }: AttemptResult): boolean {
  return kind === 'timed_out' || (status !== null && status >= 500);
}
