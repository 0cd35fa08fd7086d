import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Backoff, pause } from '../../server/lib/backoff.ts';

describe('a backoff', () => {
  it('doubles up to its maximum, and begins again after a reset', () => {
    const backoff = new Backoff({ initialMs: 100, maxMs: 1000 }, () => 1);
    expect([1, 2, 3, 4, 5, 6].map(() => backoff.next())).toEqual([100, 200, 400, 800, 1000, 1000]);
    backoff.reset();
    expect(backoff.next()).toBe(100);
  });

  it('draws every delay from the upper half of its range', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.integer({ min: 1, max: 12 }), (random, count) => {
        const backoff = new Backoff({ initialMs: 50, maxMs: 400 }, () => random);
        for (let i = 0; i < count; i++) {
          const ceilingMs = Math.min(50 * 2 ** i, 400);
          const delayMs = backoff.next();
          expect(delayMs).toBeGreaterThanOrEqual(ceilingMs / 2);
          expect(delayMs).toBeLessThanOrEqual(ceilingMs);
        }
      }),
    );
  });
});

describe('a pause', () => {
  it('ends at once when its signal is aborted, and leaves no listener', async () => {
    const stop = new AbortController();
    const waiting = pause(3_600_000, stop.signal);
    stop.abort();
    await waiting;
    expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
  });

  it('does not begin under an aborted signal', async () => {
    await pause(3_600_000, AbortSignal.abort());
  });

  it('that runs to its end leaves no listener', async () => {
    const { signal } = new AbortController();
    await pause(1, signal);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});
