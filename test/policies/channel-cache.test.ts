// What is remembered of decisions about channels: only what was allowed, for a moment, and never beyond a change.

import { describe, expect, it } from 'vitest';
import { channelDecision } from '../../server/policies/channel-decision.ts';
import { DecisionCache } from '../../server/policies/decision-cache.ts';
import type { SubscribeDecision } from '../../server/policies/subscribe-decision.ts';
import { identityOf, parsed } from './channel-cases.ts';

const question = { identity: identityOf('service_role'), channel: parsed('order:1') };
const deciding = { id: '1', pattern: 'order:*', isEnabled: true };
const ALLOWED = channelDecision(question, { facts: { deciding, table: null }, verdict: null, rules: undefined });
const REFUSED = channelDecision(question, { facts: { deciding: null, table: null }, verdict: null, rules: undefined });

/** A cache over questions that the test answers, in the order in which they are asked. */
function cacheOf({ maxEntries = 10 } = {}) {
  const clock = { now: 0 };
  const cache = new DecisionCache({ maxAgeMs: 1_000, maxEntries, now: () => clock.now });
  const asked: ((answer: SubscribeDecision | Error) => void)[] = [];
  const ask = (): Promise<SubscribeDecision> =>
    new Promise((resolve, reject) => {
      asked.push((answer) => (answer instanceof Error ? reject(answer) : resolve(answer)));
    });
  const get = (key = 'k'): Promise<SubscribeDecision> => cache.get(key, ask);
  return { clock, cache, asked, get };
}

describe('a decision that is remembered', () => {
  it('is asked once for all that come at the same time, and given again for a second', async () => {
    const { clock, asked, get } = cacheOf();
    const waiting = [get(), get(), get()];
    asked[0]?.(ALLOWED);
    expect(await Promise.all(waiting)).toEqual([ALLOWED, ALLOWED, ALLOWED]);
    clock.now = 999;
    expect(await get()).toBe(ALLOWED);
    expect(asked).toHaveLength(1);
    clock.now = 1_000;
    get();
    expect(asked).toHaveLength(2);
  });

  it('is apart for another class or channel', async () => {
    const { asked, get } = cacheOf();
    get('a');
    get('b');
    expect(asked).toHaveLength(2);
  });

  it('is never a refusal', async () => {
    const { asked, get } = cacheOf();
    const first = get();
    asked[0]?.(REFUSED);
    expect(await first).toBe(REFUSED);
    const second = get();
    asked[1]?.(ALLOWED);
    expect(await second).toBe(ALLOWED);
  });

  it('is never a refusal that was asked for before, for whoever came later', async () => {
    const { asked, get } = cacheOf();
    const early = get();
    const late = [get(), get()];
    asked[0]?.(REFUSED);
    expect(await early).toBe(REFUSED);
    await Promise.resolve();
    expect(asked).toHaveLength(2);
    asked[1]?.(REFUSED);
    expect(await Promise.all(late)).toEqual([REFUSED, REFUSED]);
    expect(asked).toHaveLength(2);
  });

  it('is nothing after a failure', async () => {
    const { asked, get } = cacheOf();
    const failing = [get(), get()];
    asked[0]?.(new Error('down'));
    for (const each of failing) await expect(each).rejects.toThrow('down');
    get();
    expect(asked).toHaveLength(2);
  });

  it('is forgotten at once, also the one that is still being made', async () => {
    const { cache, asked, get } = cacheOf();
    const before = get();
    cache.forget();
    const after = get();
    expect(asked).toHaveLength(2);
    asked[0]?.(ALLOWED);
    asked[1]?.(REFUSED);
    expect(await before).toBe(ALLOWED);
    expect(await after).toBe(REFUSED);
  });

  it('makes room for others', async () => {
    const { asked, get } = cacheOf({ maxEntries: 2 });
    for (const key of ['a', 'b', 'c']) {
      const decided = get(key);
      asked.at(-1)?.(ALLOWED);
      await decided;
    }
    await get('b');
    await get('c');
    expect(asked).toHaveLength(3);
    get('a');
    expect(asked).toHaveLength(4);
  });
});
