// Owns the plainest of loops: look, wait, look again.

import { pause } from './backoff.ts';
import type { Service } from './service.ts';

export type PollingOptions = {
  readonly name: string;
  /** Between the end of a look and the start of the next. */
  readonly intervalMs: number;
  readonly look: () => Promise<void>;
};

/** A service that looks until it is aborted. A look that rejects ends the run. */
export function polling({ name, intervalMs, look }: PollingOptions): Service {
  return {
    name,
    run: async (signal) => {
      while (!signal.aborted) {
        await look();
        await pause(intervalMs, signal);
      }
    },
  };
}
