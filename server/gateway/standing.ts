// Owns whether a live subscription may go on after a new decision about its channel, and how it is ended if
// not. Renewed tokens and reviews share it.

import type { Identity } from '../auth/identity.ts';
import type { Hub } from '../hub/hub.ts';
import type { Subscription } from '../hub/subscription.ts';
import type { TableFilter } from '../policies/row-filter.ts';
import type { SubscribeDecision } from '../policies/subscribe-decision.ts';
import { mayFilterBy } from '../policies/table-filter.ts';
import { type EndReason, encodeServerFrame } from '../protocol/server-frame.ts';
import type { Subscribed } from './subscribed-channels.ts';

/** Why `subscription` ends under `identity`; undefined where it goes on. */
export function findEndReason(
  subscription: Subscription,
  { watch }: Subscribed,
  identity: Identity,
  decision: SubscribeDecision,
): EndReason | undefined {
  if (!decision.allowed) return decision.endReason;
  // What was written while the table was not watched, or before it was made again, never came: no silent gap.
  if (decision.watch !== watch) return 'table_unwatched';
  const filter = subscription.group.spec.filter as TableFilter | null;
  if (decision.table !== null && !mayFilterBy(identity, decision.table, filter)) return 'not_allowed';
  return undefined;
}

/** Ends a live subscription and tells its client why, behind all that was queued for it. */
export function endSubscription(subscription: Subscription, reason: EndReason, hub: Hub): void {
  const { connection, id } = subscription;
  const channel = subscription.group.spec.channelName;
  hub.unsubscribe(subscription);
  const frame = { type: 'unsubscribed', channel, subscriptionId: id, reason } as const;
  hub.send(connection, encodeServerFrame(frame, connection.dialect));
}
