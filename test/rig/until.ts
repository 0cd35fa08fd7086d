// Owns waiting for a condition in tests, instead of sleeping.

import { setTimeout as sleep } from 'node:timers/promises';

export type UntilOptions = {
  /** Said when time runs out: what was waited for. */
  readonly what?: string | undefined;
  readonly timeoutMs?: number | undefined;
  readonly everyMs?: number | undefined;
};

/**
 * Calls `condition` until it gives a truthy value, and returns that. One that throws counts as not yet.
 * Throws after `timeoutMs` (10 s), naming `what` and the last failure.
 */
export async function until<T>(condition: () => T | Promise<T>, options: UntilOptions = {}): Promise<NonNullable<T>> {
  const deadline = performance.now() + (options.timeoutMs ?? 10_000);
  let failure: unknown;
  for (;;) {
    try {
      const value = await condition();
      failure = undefined;
      if (value) return value as NonNullable<T>;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > deadline) {
      throw new Error(`waited in vain for ${options.what ?? condition.toString()}`, { cause: failure });
    }
    await sleep(options.everyMs ?? 10);
  }
}
