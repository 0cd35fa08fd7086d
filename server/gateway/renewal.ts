// Owns what a renewed token does to a live connection: every subscription is judged again by the new
// identity before anything changes; then, in one turn, the connection takes it on, and what it may no longer
// see ends. If a decision cannot be made, nothing changes.

import type { Identity } from '../auth/identity.ts';
import type { Hub } from '../hub/hub.ts';
import type { Subscription } from '../hub/subscription.ts';
import type { SubscribePolicy } from '../policies/subscribe-decision.ts';
import type { EndReason } from '../protocol/server-frame.ts';
import type { Metrics } from '../stats/metrics.ts';
import type { Peer } from './peer.ts';
import { endSubscription, findEndReason } from './standing.ts';
import type { SubscribedChannels } from './subscribed-channels.ts';

export type RenewalDeps = {
  readonly hub: Hub;
  readonly subscribePolicy: SubscribePolicy;
  readonly subscribedChannels: SubscribedChannels;
  /** How many reviews have begun: decisions that are older than the last one may be outdated. */
  readonly reviewsBegun: () => number;
  readonly metrics: Pick<Metrics, 'endedSubscriptions'>;
};

/** `endReason` is undefined where the subscription goes on. */
export type Judged = { readonly subscription: Subscription; readonly endReason: EndReason | undefined };

/** Reviews that may begin while one connection is judged, before it is given up. */
const MAX_TRIES = 5;

/**
 * Asks for every subscription of the connection whether `identity` may have it; one after the other, so that
 * one client's renewals never take more than one connection of the database. Undefined if that cannot be said.
 */
export async function judgeAgain(
  identity: Identity,
  peer: Peer,
  deps: RenewalDeps,
): Promise<readonly Judged[] | undefined> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const begun = deps.reviewsBegun();
    const judged = await judgeOnce(identity, peer, deps);
    // A review that began meanwhile looked at the old identity only.
    if (judged === undefined || begun === deps.reviewsBegun() || !peer.isOpen) return judged;
  }
  return undefined;
}

async function judgeOnce(identity: Identity, peer: Peer, deps: RenewalDeps): Promise<readonly Judged[] | undefined> {
  const judged: Judged[] = [];
  for (const subscription of [...peer.connection.subscriptions.values()]) {
    const subscribed = deps.subscribedChannels.of(subscription);
    const decision = await deps.subscribePolicy.decide(identity, subscribed.channel);
    if (!decision.allowed && decision.refusal.code === 'unavailable') return undefined;
    judged.push({ subscription, endReason: findEndReason(subscription, subscribed, identity, decision) });
    if (!peer.isOpen) break;
  }
  return judged;
}

/** Puts the connection under `identity`: allowed subscriptions move to its group, the others end and are told. */
export function takeOn(identity: Identity, judged: readonly Judged[], peer: Peer, deps: RenewalDeps): void {
  const { hub, metrics } = deps;
  peer.connection.identity = identity;
  for (const { subscription, endReason } of judged) {
    // It may have ended meanwhile by other means.
    if (!peer.connection.subscriptions.has(subscription.id)) continue;
    if (endReason === undefined) {
      hub.regroup(subscription, { ...subscription.group.spec, identity });
      deps.subscribedChannels.noteDecided(subscription);
    } else {
      metrics.endedSubscriptions.inc({ reason: endReason });
      endSubscription(subscription, endReason, hub);
    }
  }
}
