// Owns what a renewed token does to a live connection: every subscription is judged again by the new
// identity before anything changes; then, in one turn, the connection takes it on, and what it may no longer
// see ends. If a decision cannot be made, nothing changes.

import type { Identity } from '../auth/identity.ts';
import type { Hub } from '../hub/hub.ts';
import type { Subscription } from '../hub/subscription.ts';
import type { SubscribePolicy } from '../policies/subscribe-decision.ts';
import type { Peer } from './peer.ts';
import type { SubscribedChannels } from './subscribed-channels.ts';

export type RenewalDeps = {
  readonly hub: Hub;
  readonly subscribePolicy: SubscribePolicy;
  readonly subscribedChannels: SubscribedChannels;
};

export type Judged = { readonly subscription: Subscription; readonly isAllowed: boolean };

/**
 * Asks for every subscription of the connection whether `identity` may have it; one after the other, so that
 * one client's renewals never take more than one connection of the database.
 */
export async function judgeAgain(identity: Identity, peer: Peer, deps: RenewalDeps): Promise<Judged[]> {
  const judged: Judged[] = [];
  for (const subscription of [...peer.connection.subscriptions.values()]) {
    const channel = deps.subscribedChannels.of(subscription);
    const decision = await deps.subscribePolicy.decide(identity, channel);
    judged.push({ subscription, isAllowed: decision.allowed });
    if (!peer.isOpen) break;
  }
  return judged;
}

/** Puts the connection under `identity`: allowed subscriptions move to its group, the others end and are told. */
export function takeOn(identity: Identity, judged: readonly Judged[], peer: Peer, hub: Hub): void {
  peer.connection.identity = identity;
  for (const { subscription, isAllowed } of judged) {
    // It may have ended meanwhile by other means.
    if (!peer.connection.subscriptions.has(subscription.id)) continue;
    if (isAllowed) hub.regroup(subscription, { ...subscription.group.spec, identity });
    else endNotAllowed(subscription, peer, hub);
  }
}

function endNotAllowed(subscription: Subscription, peer: Peer, hub: Hub): void {
  const { channelName } = subscription.group.spec;
  hub.unsubscribe(subscription);
  peer.reply({ type: 'unsubscribed', channel: channelName, subscriptionId: subscription.id, reason: 'not_allowed' });
}
