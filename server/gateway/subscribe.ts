// Owns the `subscribe` frame: name, access, filter, `since`, and then, in one turn with nothing in between,
// the position read, the hub's subscription, and the reply. So every visible message above the position
// comes, behind the reply, and none at or below it does.

import { randomBytes } from 'node:crypto';
import type { GroupSpec } from '../hub/group-spec.ts';
import type { Hub } from '../hub/hub.ts';
import { type Position, parsePosition } from '../lib/position.ts';
import type { SubscribePolicy } from '../policies/subscribe-decision.ts';
import { type ParsedChannel, parseChannelName } from '../protocol/channel-name.ts';
import type { SubscribeFrame } from '../protocol/client-frame.ts';
import type { Refusal } from '../protocol/error-codes.ts';
import type { Warning } from '../protocol/server-frame.ts';
import { readFilter } from './event-filter.ts';
import type { Peer } from './peer.ts';
import type { SubscribedChannels } from './subscribed-channels.ts';

export type SubscribeDeps = {
  readonly hub: Hub;
  readonly subscribePolicy: SubscribePolicy;
  readonly subscribedChannels: SubscribedChannels;
  /** The position up to which everything has been handed to the hub. */
  readonly position: () => Position;
  readonly maxSubscriptions: number;
};

type Plan =
  | {
      readonly ok: true;
      readonly channel: ParsedChannel;
      readonly events: GroupSpec['events'];
      readonly warnings: readonly Warning[];
    }
  | { readonly ok: false; readonly refusal: Refusal };

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Handles one frame; rejects only if the decision could not be made. */
export async function subscribe(frame: SubscribeFrame, peer: Peer, deps: SubscribeDeps): Promise<void> {
  const plan = await planSubscription(frame, peer, deps);
  if (!peer.isOpen) return;
  if (!plan.ok) return peer.refuse(plan.refusal, { ref: frame.ref, channel: frame.channel });
  goLive(frame, plan, peer, deps);
}

async function planSubscription(frame: SubscribeFrame, peer: Peer, deps: SubscribeDeps): Promise<Plan> {
  const { connection } = peer;
  if (connection.subscriptions.size >= deps.maxSubscriptions) {
    return refuse('too_many_subscriptions', `A connection has at most ${deps.maxSubscriptions} subscriptions`);
  }
  const parsed = parseChannelName(frame.channel, frame.filter?.schema);
  if (!parsed.ok) return parsed;
  const decision = await deps.subscribePolicy.decide(connection.identity, parsed.channel);
  // Access comes first: a filter's errors would tell whoever may not subscribe what exists.
  if (!decision.allowed) return { ok: false, refusal: decision.refusal };
  const filter = readFilter(parsed.channel, frame.filter);
  if (!filter.ok) return filter;
  if (frame.since !== undefined && !isSince(frame.since)) {
    return refuse('bad_since', 'since is a position or a messageId');
  }
  if (frame.snapshot === true) return refuse('snapshot_unavailable', 'Snapshots are not available yet');
  return { ok: true, channel: parsed.channel, events: filter.events, warnings: decision.warnings };
}

function goLive(frame: SubscribeFrame, plan: Extract<Plan, { ok: true }>, peer: Peer, deps: SubscribeDeps): void {
  const { connection } = peer;
  const { channel, events, warnings } = plan;
  // Read first: should it fail, nothing has been subscribed yet.
  const position = deps.position();
  const id = randomBytes(9).toString('base64url');
  const spec: GroupSpec = { dialect: 'rowcast', channelName: channel.name, events, identity: connection.identity };
  const subscription = deps.hub.subscribe({ id, connection, channel: channel.canonical, spec });
  deps.subscribedChannels.remember(subscription, channel);
  const about = { channel: frame.channel, subscriptionId: id, position };
  // What was missed cannot be replayed yet, and a gap is never silent.
  const recovery = frame.since === undefined ? {} : { recovered: false, reason: 'unknown' };
  const told = warnings.length === 0 ? {} : { warnings };
  peer.reply({ type: 'subscribed', ...about, ...recovery, ...told, ref: frame.ref });
  if (frame.since !== undefined) peer.reply({ type: 'live', ...about });
}

function isSince(text: string): boolean {
  return parsePosition(text) !== undefined || UUID.test(text);
}

function refuse(code: Refusal['code'], message: string): Plan {
  return { ok: false, refusal: { code, message } };
}
