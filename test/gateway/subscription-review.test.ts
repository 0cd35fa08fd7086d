// The review of live subscriptions by itself: when it begins, how it batches, and what it does while the
// database cannot be asked. What policies decide is tested over the whole server.

import { afterEach, describe, expect, it } from 'vitest';
import { makeIdentity } from '../../server/auth/make-identity.ts';
import { SubscribedChannels } from '../../server/gateway/subscribed-channels.ts';
import { SubscriptionReview } from '../../server/gateway/subscription-review.ts';
import { Connection } from '../../server/hub/connection.ts';
import { Hub } from '../../server/hub/hub.ts';
import type { Subscription } from '../../server/hub/subscription.ts';
import type { SubscribeDecision, SubscribeQuestion } from '../../server/policies/subscribe-decision.ts';
import { parseChannelName } from '../../server/protocol/channel-name.ts';
import { createMetrics } from '../../server/stats/metrics.ts';
import { until } from '../rig/until.ts';
import { ALLOWED, CollectingLog, policyOf, refusal } from './open-gateway.ts';

const NO = refusal({ code: 'channel_unavailable', message: 'no' }, 'channel_disabled');
const UNDECIDED = refusal({ code: 'unavailable', message: 'no answer in time' });

const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop();
});

type Answer = (question: SubscribeQuestion) => SubscribeDecision;

/** A running review over a hub of its own; the test says what the fingerprint and the answers are. */
function startReview(given: { answer?: Answer; intervalMs?: number } = {}) {
  const state = {
    fingerprint: 'a' as string | Error,
    looks: 0,
    answer: given.answer ?? ((): SubscribeDecision => ALLOWED),
    fails: false,
    batches: [] as (readonly SubscribeQuestion[])[],
    forgotten: 0,
    onBatch: async (): Promise<void> => undefined,
  };
  const hub = new Hub({
    maxQueuedBytes: 1e9,
    tooSlowAfterMs: 1_000,
    drainingWithinMs: 1_000,
    hardBoundFactor: 8,
    now: () => performance.now(),
  });
  const subscribedChannels = new SubscribedChannels();
  const metrics = createMetrics();
  const log = new CollectingLog();
  const review = new SubscriptionReview({
    hub,
    subscribedChannels,
    metrics,
    log,
    intervalMs: given.intervalMs ?? 1e9,
    now: () => performance.now(),
    readFingerprint: async () => {
      state.looks += 1;
      if (state.fingerprint instanceof Error) throw state.fingerprint;
      return state.fingerprint;
    },
    subscribePolicy: {
      ...policyOf(async () => ALLOWED),
      review: async (questions) => {
        if (state.fails) throw new Error('the database is down');
        state.batches.push(questions);
        await state.onBatch();
        return questions.map((question) => state.answer(question));
      },
      forget: () => {
        state.forgotten += 1;
      },
    },
  });
  const stopping = new AbortController();
  const run = review.run(stopping.signal);
  const stop = async (): Promise<void> => {
    stopping.abort();
    await run;
    metrics.close();
  };
  running.push({ stop });
  const told: string[] = [];
  const sink = {
    write: (bytes: Uint8Array): boolean => {
      told.push(Buffer.from(bytes).toString());
      return true;
    },
  };
  const live = (name: string, sub: string): Subscription => {
    const identity = makeIdentity({ role: 'authenticated', isAdmin: false, claims: { sub } });
    const parsed = parseChannelName(name);
    if (!parsed.ok) throw new Error(parsed.refusal.message);
    const id = `c${hub.connectionCount}`;
    const connection = new Connection({
      id,
      identity,
      sink,
      onTooSlow: () => undefined,
      now: () => performance.now(),
    });
    hub.connect(connection);
    const spec = { dialect: 'rowcast' as const, channelName: name, events: null, filter: null, identity };
    const subscription = hub.subscribe({ id, connection, channel: parsed.channel.canonical, spec });
    subscribedChannels.remember(subscription, { channel: parsed.channel, watch: null });
    return subscription;
  };
  const active = (): number => [...hub.activeChannels()].reduce((sum, { subscriptions }) => sum + subscriptions, 0);
  const looked = (more = 1): Promise<unknown> => {
    const wanted = state.looks + more;
    return until(() => state.looks >= wanted);
  };
  return { review, state, hub, live, active, looked, told, log, metrics };
}

describe('a review of live subscriptions', () => {
  it('begins when something changed, and not otherwise', async () => {
    const { review, state, live, looked } = startReview();
    await looked();
    const begun = review.begun;
    live('order:1', 'a');
    await looked(3);
    expect(review.begun).toBe(begun);
    expect(state.batches).toHaveLength(1);
    state.fingerprint = 'b';
    await until(() => state.batches.length === 2);
    expect(review.begun).toBe(begun + 1);
    expect(state.forgotten).toBe(review.begun);
  });

  it('confirms what went live once, after the next look, for a change may have come and gone between looks', async () => {
    const { review, live, active, looked } = startReview({ answer: () => NO });
    await looked();
    const begun = review.begun;
    live('order:1', 'a');
    await until(() => active() === 0);
    expect(review.begun).toBe(begun);
  });

  it('asks about each class and channel once, however many subscribe', async () => {
    const { state, live, looked } = startReview();
    await looked();
    for (const sub of ['a', 'a', 'b', 'a']) for (const name of ['order:1', 'order:2']) live(name, sub);
    state.fingerprint = 'b';
    await until(() => state.batches.length > 0);
    const asked = state.batches.flat().map(({ identity, channel }) => `${identity.sub} ${channel.name}`);
    expect(asked.sort()).toEqual(['a order:1', 'a order:2', 'b order:1', 'b order:2']);
  });

  it('ends what is refused and tells why; all of the class, and nobody else', async () => {
    const answer: Answer = ({ identity }) => (identity.sub === 'a' ? NO : ALLOWED);
    const { state, live, active, looked, told, metrics } = startReview({ answer });
    await looked();
    for (const sub of ['a', 'a', 'b']) live('order:1', sub);
    state.fingerprint = 'b';
    await until(() => active() === 1);
    expect(told).toHaveLength(2);
    expect(told[0]).toContain(
      '{"type":"unsubscribed","channel":"order:1","subscriptionId":"c0","reason":"channel_disabled"}',
    );
    expect(await metrics.text()).toContain('rowcast_subscriptions_ended_total{reason="channel_disabled"} 2');
  });

  it('judges in batches, one at a time, and looks in between', async () => {
    const { state, live, looked } = startReview();
    await looked();
    for (let n = 0; n < 450; n += 1) live(`order:${n}`, 'a');
    let atOnce = 0;
    let most = 0;
    const looks: number[] = [];
    state.onBatch = async () => {
      atOnce += 1;
      most = Math.max(most, atOnce);
      looks.push(state.looks);
      // A look is due before the batch has ended.
      await new Promise((resolve) => setTimeout(resolve, 300));
      atOnce -= 1;
    };
    state.fingerprint = 'b';
    await until(() => state.batches.flat().length >= 450);
    expect(state.batches.map((batch) => batch.length)).toEqual([200, 200, 50]);
    expect(most).toBe(1);
    expect(looks[2]).toBeGreaterThan(looks[0] ?? 0);
  });

  it('comes to everybody although others begin all the time', async () => {
    const { state, live, looked } = startReview();
    await looked();
    for (let n = 0; n < 450; n += 1) live(`order:${n}`, 'a');
    state.onBatch = async () => {
      state.fingerprint += '!';
      await new Promise((resolve) => setTimeout(resolve, 300));
    };
    state.fingerprint = 'b';
    await until(() => new Set(state.batches.flat().map(({ channel }) => channel.name)).size === 450);
  });

  it('begins from time to time although nothing changed', async () => {
    const { state, live } = startReview({ intervalMs: 300 });
    live('order:1', 'a');
    await until(() => state.batches.length >= 2);
  });

  it('begins after looks that failed, says so once, and ends nothing meanwhile', async () => {
    const { review, state, live, active, looked, log } = startReview();
    await looked();
    live('order:1', 'a');
    const begun = review.begun;
    state.fingerprint = new Error('down');
    await looked(3);
    expect(review.begun).toBe(begun);
    state.fingerprint = 'a';
    await until(() => state.batches.length > 0);
    expect(active()).toBe(1);
    expect(log.lines.filter((line) => line.includes('cannot be looked for'))).toHaveLength(1);
  });

  it('that fails is tried again, and ends nothing meanwhile', async () => {
    const { state, live, active, looked, log } = startReview({ answer: () => NO });
    await looked();
    live('order:1', 'a');
    state.fails = true;
    state.fingerprint = 'b';
    await until(() => log.lines.some((line) => line.includes('cannot be judged again')));
    expect(active()).toBe(1);
    state.fails = false;
    await until(() => active() === 0);
  });

  it('that cannot decide asks once more, and then ends', async () => {
    const answers: SubscribeDecision[] = [UNDECIDED, ALLOWED, UNDECIDED, UNDECIDED];
    const { state, live, active, looked, told } = startReview({ answer: () => answers.shift() ?? ALLOWED });
    await looked();
    live('order:1', 'a');
    state.fingerprint = 'b';
    await until(() => answers.length === 2);
    expect(active()).toBe(1);
    state.fingerprint = 'c';
    await until(() => active() === 0);
    expect(told[0]).toContain('"reason":"not_allowed"');
  });

  it('leaves alone what ended, or took on another identity, while it was judged', async () => {
    const { state, hub, live, active, looked, told } = startReview({ answer: () => NO });
    await looked();
    const [ended, renewed] = [live('order:1', 'a'), live('order:1', 'a')];
    state.onBatch = async () => {
      hub.unsubscribe(ended);
      const identity = makeIdentity({ role: 'authenticated', isAdmin: false, claims: { sub: 'a', more: 1 } });
      hub.regroup(renewed, { ...renewed.group.spec, identity });
    };
    state.fingerprint = 'b';
    await until(() => state.batches.length === 1);
    await looked();
    expect(active()).toBe(1);
    expect(told).toEqual([]);
  });
});
