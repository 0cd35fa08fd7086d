// Owns the contract of everything that loops, and its supervision. A service runs until its signal is
// aborted; a failure is a rejection, answered by a new run after a backoff. There is no silent end:
// a run that resolves before the abort is a failure too.

import { Backoff, type BackoffOptions, pause } from './backoff.ts';
import type { Logger } from './logger.ts';

export interface Service {
  readonly name: string;
  /** Works until `signal` is aborted, then releases what it opened and resolves. Rejects to be run again. */
  run(signal: AbortSignal): Promise<void>;
}

/** Thrown by a service that must not be run again: supervision passes it on to whoever awaits it. */
export class UnrecoverableError extends Error {
  override readonly name = 'UnrecoverableError';
}

export type SuperviseOptions = {
  readonly log: Logger;
  readonly backoff?: BackoffOptions | undefined;
  /** A run that lasted this long starts the backoff again. Default 10 s. */
  readonly healthyAfterMs?: number | undefined;
};

const DEFAULT_BACKOFF: BackoffOptions = { initialMs: 100, maxMs: 10_000 };

/**
 * Runs `service` again and again until `signal` is aborted.
 * Rejects only with an UnrecoverableError of the service.
 */
export async function supervise(service: Service, signal: AbortSignal, options: SuperviseOptions): Promise<void> {
  const backoff = new Backoff(options.backoff ?? DEFAULT_BACKOFF);
  while (!signal.aborted) {
    const startedAt = performance.now();
    const failure = await runOnce(service, signal);
    if (signal.aborted && failure === undefined) return;
    if (failure instanceof UnrecoverableError) throw failure;
    if (performance.now() - startedAt > (options.healthyAfterMs ?? 10_000)) backoff.reset();
    const retryInMs = Math.round(backoff.next());
    options.log.warn({ service: service.name, err: failure, retryInMs }, 'service stopped, will run again');
    await pause(retryInMs, signal);
  }
}

async function runOnce(service: Service, signal: AbortSignal): Promise<unknown> {
  try {
    await service.run(signal);
    return signal.aborted ? undefined : new Error(`${service.name} ended by itself`);
  } catch (error) {
    return error ?? new Error(`${service.name} rejected without a reason`);
  }
}
