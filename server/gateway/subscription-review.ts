// Owns the review of live subscriptions. A fingerprint of all that decides is looked at several times a second;
// when it has changed, from time to time anyway, and after a look that failed, every identity is judged again
// about every channel that it is subscribed to, each pair once, in batches, one batch at a time; and looks go
// on between batches. Each new subscription is confirmed once, after the next look. What is refused ends, and its
// client is told why.

import type { Identity } from '../auth/identity.ts';
import type { Hub } from '../hub/hub.ts';
import type { Subscription } from '../hub/subscription.ts';
import { pause } from '../lib/backoff.ts';
import type { Logger } from '../lib/logger.ts';
import type { Service } from '../lib/service.ts';
import type { SubscribeDecision, SubscribePolicy, SubscribeQuestion } from '../policies/subscribe-decision.ts';
import type { Metrics } from '../stats/metrics.ts';
import { endSubscription, findEndReason } from './standing.ts';
import type { SubscribedChannels } from './subscribed-channels.ts';

export type SubscriptionReviewOptions = {
  readonly hub: Hub;
  readonly subscribePolicy: SubscribePolicy & {
    /** Forgets what it remembers. */
    forget(): void;
  };
  readonly subscribedChannels: SubscribedChannels;
  /** Changes with whatever may decide otherwise. Rejects when the database cannot be asked. */
  readonly readFingerprint: () => Promise<string>;
  /** How often all are judged although nothing changed. */
  readonly intervalMs: number;
  readonly metrics: Pick<Metrics, 'endedSubscriptions'>;
  readonly log: Logger;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
};

/** Between two looks. Longer where a look is dear: a tenth of the time at most, as far as a second allows. */
const LOOK_MS = 250;
const MAX_LOOK_MS = 1_000;
const REST_FACTOR = 10;
const BATCH = 200;
/** A question that could not be decided so often in a row is answered with no. */
const MAX_UNDECIDED = 2;

type Due = SubscribeQuestion & {
  /** Those that were live when this was asked for; what went live later was decided later. */
  readonly subscriptions: Set<Subscription>;
  /** How often in a row it could not be decided. */
  undecided: number;
};

export class SubscriptionReview implements Service {
  readonly name = 'subscription-review';
  readonly #options: SubscriptionReviewOptions;
  readonly #due = new Map<string, Due>();
  #known: string | undefined = undefined;
  #begunAt = Number.NEGATIVE_INFINITY;
  #begun = 0;

  constructor(options: SubscriptionReviewOptions) {
    this.#options = options;
  }

  /** How many reviews have begun. Whoever decides about a subscription decides again if one began meanwhile. */
  get begun(): number {
    return this.#begun;
  }

  async run(signal: AbortSignal): Promise<void> {
    // Whatever happened while it did not run has not been looked at.
    this.#known = undefined;
    let nextLook = Number.NEGATIVE_INFINITY;
    while (!signal.aborted) {
      const remainingMs = nextLook - this.#options.now();
      if (remainingMs <= 0) nextLook = (await this.#look()) + this.#options.now();
      else if (this.#due.size > 0) await this.#reviewSome(signal);
      else await pause(remainingMs, signal);
    }
  }

  /** Looks once; returns after how many milliseconds to look again. */
  async #look(): Promise<number> {
    const { now, readFingerprint, intervalMs, log, subscribedChannels } = this.#options;
    const startedAt = now();
    // What was decided before this look is confirmed by an answer from after it: what a policy allowed that came
    // and went between two looks leaves no trace in a fingerprint.
    const decided = subscribedChannels.takeDecided();
    try {
      const fingerprint = await readFingerprint();
      const isDue = now() - this.#begunAt >= intervalMs;
      if (fingerprint !== this.#known || isDue) this.#begin();
      else for (const subscription of decided) this.#ask(subscription);
      this.#known = fingerprint;
    } catch (err) {
      if (this.#known !== undefined) log.warn({ err }, 'changes of policies and channels cannot be looked for');
      this.#known = undefined;
    }
    return Math.min(MAX_LOOK_MS, Math.max(LOOK_MS, (now() - startedAt) * REST_FACTOR));
  }

  // In one turn: whoever goes live after it is judged by an answer that is younger than the look.
  #begin(): void {
    const { hub, subscribePolicy, now } = this.#options;
    this.#begun += 1;
    this.#begunAt = now();
    subscribePolicy.forget();
    // Channel by channel, so that a batch has few of them.
    for (const { channel } of hub.activeChannels()) {
      for (const { members } of hub.groups(channel)) for (const member of members) this.#ask(member);
    }
  }

  // What waits already keeps its place, so that each has its turn however often a review begins.
  #ask(subscription: Subscription): void {
    const { identity } = subscription.group.spec;
    const { channel } = this.#options.subscribedChannels.of(subscription);
    const key = questionKey(identity, channel.canonical);
    const due = this.#due.get(key) ?? { identity, channel, subscriptions: new Set(), undecided: 0 };
    due.subscriptions.add(subscription);
    this.#due.set(key, due);
  }

  async #reviewSome(signal: AbortSignal): Promise<void> {
    const batch = this.#take();
    try {
      const decisions = await this.#options.subscribePolicy.review(batch);
      for (const [index, due] of batch.entries()) this.#conclude(due, decisions[index] as SubscribeDecision);
    } catch (err) {
      for (const due of batch) this.#putBack(due);
      this.#options.log.warn({ err, due: this.#due.size }, 'live subscriptions cannot be judged again at the moment');
      await pause(MAX_LOOK_MS, signal);
    }
  }

  #take(): readonly Due[] {
    const batch: Due[] = [];
    for (const [key, due] of this.#due) {
      this.#due.delete(key);
      if (batch.push(due) === BATCH) break;
    }
    return batch;
  }

  #putBack(due: Due): void {
    this.#due.set(questionKey(due.identity, due.channel.canonical), due);
  }

  #conclude(due: Due, decision: SubscribeDecision): void {
    const isUndecided = !decision.allowed && decision.refusal.code === 'unavailable';
    due.undecided = isUndecided ? due.undecided + 1 : 0;
    if (isUndecided && due.undecided < MAX_UNDECIDED) return this.#putBack(due);
    for (const subscription of due.subscriptions) {
      if (isStill(subscription, due.identity)) this.#settle(subscription, due.identity, decision);
    }
  }

  #settle(subscription: Subscription, identity: Identity, decision: SubscribeDecision): void {
    const { hub, subscribePolicy, subscribedChannels, metrics } = this.#options;
    const reason = findEndReason(subscription, subscribedChannels.of(subscription), identity, decision);
    if (reason === undefined) return;
    // What allowed it may be remembered still, until the next look sees what has changed.
    subscribePolicy.forget();
    metrics.endedSubscriptions.inc({ reason });
    endSubscription(subscription, reason, hub);
  }
}

function questionKey({ classKey }: Identity, channel: string): string {
  return `${classKey} ${channel}`;
}

/** It may have ended, or taken on another identity, while it was judged. */
function isStill({ id, connection, group }: Subscription, { classKey }: Identity): boolean {
  return connection.subscriptions.has(id) && group.spec.identity.classKey === classKey;
}
