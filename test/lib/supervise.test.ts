import { describe, expect, it } from 'vitest';
import type { LogFields, Logger } from '../../server/lib/logger.ts';
import { type Service, supervise, UnrecoverableError } from '../../server/lib/service.ts';

const backoff = { initialMs: 1, maxMs: 2 };

function collecting(): { log: Logger; warnings: LogFields[] } {
  const warnings: LogFields[] = [];
  const ignore = (): void => undefined;
  return {
    warnings,
    log: { debug: ignore, info: ignore, error: ignore, warn: (fields) => void warnings.push(fields) },
  };
}

/** A service whose runs do one of `steps` each; the last one waits for the abort. */
function stepping(steps: readonly (() => void)[]): Service & { runs: number } {
  return {
    name: 'stepping',
    runs: 0,
    run(signal) {
      const step = steps[this.runs++];
      if (step === undefined) return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
      return Promise.resolve().then(step);
    },
  };
}

function failing(message: string): () => void {
  return () => {
    throw new Error(message);
  };
}

describe('supervision', () => {
  it('runs a failed service again, and tells why it stopped', async () => {
    const { log, warnings } = collecting();
    const stop = new AbortController();
    const service = stepping([failing('first'), failing('second'), () => stop.abort()]);
    await supervise(service, stop.signal, { log, backoff });
    expect(service.runs).toBe(3);
    expect(warnings.map(({ service, err }) => [service, (err as Error).message])).toEqual([
      ['stepping', 'first'],
      ['stepping', 'second'],
    ]);
  });

  it('takes a run that ends by itself for a failure', async () => {
    const { log, warnings } = collecting();
    const stop = new AbortController();
    await supervise(stepping([() => undefined, () => stop.abort()]), stop.signal, { log, backoff });
    expect(warnings.map(({ err }) => (err as Error).message)).toEqual(['stepping ended by itself']);
  });

  it('ends quietly when it is told to', async () => {
    const { log, warnings } = collecting();
    const stop = new AbortController();
    const ended = supervise(stepping([]), stop.signal, { log, backoff });
    stop.abort();
    await ended;
    expect(warnings).toEqual([]);
  });

  it('tells of a failure while stopping, and does not run again', async () => {
    const { log, warnings } = collecting();
    const stop = new AbortController();
    const service = stepping([
      () => {
        stop.abort();
        throw new Error('while stopping');
      },
    ]);
    await supervise(service, stop.signal, { log, backoff });
    expect(service.runs).toBe(1);
    expect(warnings).toHaveLength(1);
  });

  it('passes an unrecoverable error on', async () => {
    const { log } = collecting();
    const service = stepping([
      () => {
        throw new UnrecoverableError('no logical WAL');
      },
    ]);
    await expect(supervise(service, new AbortController().signal, { log, backoff })).rejects.toThrow('no logical WAL');
    expect(service.runs).toBe(1);
  });

  it('survives a rejection without a reason', async () => {
    const { log, warnings } = collecting();
    const stop = new AbortController();
    const service = stepping([() => Promise.reject(undefined) as never, () => stop.abort()]);
    await supervise(service, stop.signal, { log, backoff });
    expect(warnings.map(({ err }) => (err as Error).message)).toEqual(['stepping rejected without a reason']);
  });
});
