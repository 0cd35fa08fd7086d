// Owns the small parts of the gateway that have rules of their own.

import fc from 'fast-check';
import type { FastifyRequest } from 'fastify';
import { describe, expect, it, vi } from 'vitest';
import { isLoopback, limitAddress } from '../../server/gateway/client-address.ts';
import { closeLabel } from '../../server/gateway/close-label.ts';
import { ConnectionPlaces } from '../../server/gateway/connection-places.ts';
import { Deadline } from '../../server/gateway/deadline.ts';
import { FrameQueue } from '../../server/gateway/frame-queue.ts';
import { formatInstant } from '../../server/gateway/instant.ts';
import { KeyedRate } from '../../server/gateway/keyed-rate.ts';
import { limitKey } from '../../server/gateway/limit-key.ts';
import { redactUrl } from '../../server/gateway/redact-url.ts';
import { TokenBucket } from '../../server/gateway/token-bucket.ts';
import { UnauthenticatedSockets } from '../../server/gateway/unauthenticated-sockets.ts';

describe('redactUrl', () => {
  it('keeps the path and the names of parameters', () => {
    expect(redactUrl('/realtime?token=eyJ.a.b&x=1')).toBe('/realtime?token=…&x=…');
    expect(redactUrl('/livez')).toBe('/livez');
  });

  it('never lets a value through', () => {
    fc.assert(
      fc.property(
        fc.stringMatching(/^[A-Za-z0-9._-]{40,}$/),
        fc.constantFrom('token', 'ticket', 'x'),
        (secret, name) => {
          expect(redactUrl(`/realtime?${name}=${secret}`)).not.toContain(secret);
        },
      ),
    );
  });
});

describe('TokenBucket', () => {
  it('allows the burst, then the rate, and never more than the burst', () => {
    let now = 0;
    const bucket = new TokenBucket({ perSecond: 10, burst: 3, now: () => now });
    expect([1, 2, 3, 4].map(() => bucket.take())).toEqual([true, true, true, false]);
    now += 100;
    expect([bucket.take(), bucket.take()]).toEqual([true, false]);
    now += 60_000;
    expect([1, 2, 3, 4].map(() => bucket.take())).toEqual([true, true, true, false]);
  });

  it('gives several at once, or none, and says when; more than the burst is owed', () => {
    let now = 0;
    const bucket = new TokenBucket({ perSecond: 10, burst: 20, now: () => now });
    expect([bucket.take(15), bucket.take(6), bucket.waitMs(6), bucket.take(5)]).toEqual([true, false, 100, true]);
    now += 2_000;
    expect([bucket.take(100), bucket.waitMs(), bucket.isFull]).toEqual([true, 8_100, false]);
    now += 10_000;
    expect([bucket.take(20), bucket.waitMs(100)]).toEqual([true, 2_000]);
  });
});

describe('KeyedRate', () => {
  it('keeps the keys apart, and forgets those that are as good as new', () => {
    let now = 0;
    const rate = new KeyedRate({ perSecond: 1, burst: 2, now: () => now });
    expect([rate.take('a', 2), rate.take('a', 1), rate.take('b', 1)]).toEqual([0, 1_000, 0]);
    now += 1_500;
    expect(rate.take('c', 1)).toBe(0);
    expect(rate.size).toBe(3);
    now += 1_000;
    expect([rate.take('d', 1), rate.size]).toEqual([0, 1]);
  });

  it('never remembers more than it may, and forgets what was used longest ago', () => {
    const rate = new KeyedRate({ perSecond: 1, burst: 1, maxKeys: 3, now: () => 0 });
    for (const key of ['a', 'b', 'c', 'a', 'd']) rate.take(key, 1);
    expect(rate.size).toBe(3);
    expect([rate.take('a', 1), rate.take('b', 1)]).toEqual([1_000, 0]);
    for (let n = 0; n < 1_000; n += 1) rate.take(`key ${n}`, 1);
    expect(rate.size).toBe(3);
  });
});

describe('ConnectionPlaces', () => {
  it('counts addresses and users apart, and gives a place back once', () => {
    const places = new ConnectionPlaces({ perAddress: 1, perUser: 1 });
    const place = places.ofAddress('x');
    expect([place, places.ofAddress('x'), places.ofUser({ sub: 'x' })]).toEqual([
      expect.any(Function),
      undefined,
      expect.any(Function),
    ]);
    for (let n = 0; n < 3; n += 1) expect(places.ofUser({ sub: null })).toBeDefined();
    place?.();
    place?.();
    expect([places.ofAddress('x'), places.ofAddress('x')]).toEqual([expect.any(Function), undefined]);
  });
});

describe('limitKey', () => {
  it('is never the same for a user and an address', () => {
    expect(limitKey({ sub: '127.0.0.1' }, '127.0.0.1')).not.toBe(limitKey({ sub: null }, '127.0.0.1'));
    expect(limitKey({ sub: 'u' }, 'a')).toBe(limitKey({ sub: 'u' }, 'b'));
  });
});

describe('Deadline', () => {
  it('is met in steps, however far it lies, and after the clock was set', () => {
    vi.useFakeTimers({ now: 0 });
    try {
      const due: number[] = [];
      const deadline = new Deadline(() => Date.now());
      const year = 365 * 86_400_000;
      deadline.set(year, () => due.push(Date.now()));
      vi.advanceTimersByTime(year - 1);
      expect(due).toEqual([]);
      vi.advanceTimersByTime(1);
      expect(due).toEqual([year]);
      expect(vi.getTimerCount()).toBe(0);
    } finally {
      vi.useRealTimers();
    }
  });
});

describe('FrameQueue', () => {
  it('handles in order, one at a time, and closes without handling the rest', async () => {
    const log: string[] = [];
    let proceed: (() => void)[] = [];
    const queue = new FrameQueue({
      maxFrames: 2,
      maxLength: 100,
      handle: async (text) => {
        log.push(`${text} begins`);
        await new Promise<void>((resolve) => proceed.push(resolve));
        log.push(`${text} ends`);
      },
      onFull: () => log.push('full'),
      onRoom: () => log.push('room'),
    });
    for (const text of ['a', 'b', 'c', 'd']) queue.push(text);
    expect(log).toEqual(['a begins', 'full']);
    const step = async (): Promise<void> => {
      for (const go of proceed.splice(0)) go();
      await new Promise((resolve) => setImmediate(resolve));
    };
    await step();
    await step();
    expect(log).toEqual(['a begins', 'full', 'a ends', 'b begins', 'b ends', 'room', 'c begins']);
    queue.close();
    proceed = [...proceed];
    await step();
    await queue.idle();
    expect(log.at(-1)).toBe('c ends');
  });
});

describe('UnauthenticatedSockets', () => {
  it('counts exactly, in whatever order sockets come, settle and go', () => {
    const step = fc.record({ address: fc.constantFrom('a', 'b'), release: fc.nat(5), twice: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const sockets = new UnauthenticatedSockets({ perAddress: 3, total: 4 });
        const held: { address: string; release: () => void }[] = [];
        for (const { address, release, twice } of steps) {
          const admission = sockets.admit(address);
          const ofAddress = held.filter((other) => other.address === address).length;
          expect(admission.ok).toBe(ofAddress < 3 && held.length < 4);
          if (admission.ok) held.push({ address, release: admission.release });
          const [gone] = held.splice(release, 1);
          gone?.release();
          if (twice) gone?.release();
          expect(sockets.total).toBe(held.length);
        }
      }),
    );
  });
});

describe('limitAddress', () => {
  it.each([
    ['203.0.113.9', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:0db8:0001:0002:ffff::1', '2001:db8:1:2::/64'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
  ])('takes %s as %s', (ip, expected) => {
    expect(limitAddress(requestFrom(ip))).toBe(expected);
  });
});

describe('isLoopback', () => {
  it.each([
    ['127.0.0.1', {}, false, true],
    ['127.9.9.9', {}, false, true],
    ['::1', {}, false, true],
    ['::ffff:127.0.0.1', {}, false, true],
    ['203.0.113.9', {}, false, false],
    ['2001:db8::1', {}, false, false],
    ['127.0.0.1', { 'x-forwarded-for': '127.0.0.1' }, false, false],
    ['127.0.0.1', { forwarded: 'for=127.0.0.1' }, false, false],
    ['127.0.0.1', { 'x-forwarded-for': '127.0.0.1' }, true, true],
  ])('of %s with %o, proxies trusted: %s', (ip, headers, trustsProxy, expected) => {
    expect(isLoopback(requestFrom(ip, headers), trustsProxy)).toBe(expected);
  });
});

/** What these functions read of a request. */
function requestFrom(ip: string, headers: Record<string, string> = {}): FastifyRequest {
  return { ip, headers } as FastifyRequest;
}

it('formatInstant prints a fraction only if there is one', () => {
  expect(formatInstant(Date.UTC(2024, 0, 15, 10, 30))).toBe('2024-01-15T10:30:00Z');
  expect(formatInstant(Date.UTC(2024, 0, 15, 10, 30, 0, 120))).toBe('2024-01-15T10:30:00.120Z');
});

it('closeLabel is one of few, whatever a peer sends', () => {
  expect(closeLabel(4490)).toBe('4490');
  expect(closeLabel(3999)).toBe('other');
});
