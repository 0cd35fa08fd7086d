// Owns the `subscribe` frame: name, access, filter, `since`, and then, in one turn with nothing in between,
// the position read, the hub's subscription, and the reply. So every visible message above the position
// comes, behind the reply, and none at or below it does, unless it was asked for by `since`.

import { randomBytes } from 'node:crypto';
import type { Identity } from '../auth/identity.ts';
import type { GroupSpec } from '../hub/group-spec.ts';
import type { Hub } from '../hub/hub.ts';
import { must } from '../lib/assert.ts';
import type { Position } from '../lib/position.ts';
import type { Allowed, RowFilterResult, SubscribePolicy } from '../policies/subscribe-decision.ts';
import { type ParsedChannel, parseChannelName } from '../protocol/channel-name.ts';
import type { FilterFrame, SubscribeFrame } from '../protocol/client-frame.ts';
import type { Dialect } from '../protocol/dialect.ts';
import type { Refusal } from '../protocol/error-codes.ts';
import type { Warning } from '../protocol/server-frame.ts';
import { readEventFilter } from './event-filter.ts';
import type { Peer } from './peer.ts';
import { type Beginning, type BeginningDeps, planBeginning, settledAt } from './resumption.ts';
import type { SubscribedChannels } from './subscribed-channels.ts';

export type SubscribeDeps = BeginningDeps & {
  readonly hub: Hub;
  readonly subscribePolicy: SubscribePolicy;
  readonly subscribedChannels: SubscribedChannels;
  /** How many reviews of live subscriptions have begun. */
  readonly reviewsBegun: () => number;
  /** The position up to which everything has been handed to the hub. */
  readonly position: () => Position;
  readonly maxSubscriptions: number;
};

/** Who asks for a subscription. */
export type Asker = {
  readonly identity: Identity;
  readonly dialect: Dialect;
  /** How many subscriptions it has. */
  readonly held: () => number;
  /** False once nobody waits for the answer. */
  readonly isOpen: () => boolean;
};

/** What a subscription will be, or why there is none. To be begun in the turn in which it is known. */
export type Plan =
  | {
      readonly ok: true;
      readonly channel: ParsedChannel;
      readonly watch: string | null;
      readonly spec: GroupSpec;
      readonly tableOid: number | null;
      readonly beginning: Extract<Beginning, { ok: true }>;
      readonly warnings: readonly Warning[];
    }
  | { readonly ok: false; readonly refusal: Refusal };

/** Reviews that may begin while one subscription is decided, before it is given up. */
const MAX_TRIES = 5;

/** Handles one frame; rejects only if the decision could not be made. */
export async function subscribe(frame: SubscribeFrame, peer: Peer, deps: SubscribeDeps): Promise<void> {
  const plan = await planSubscription(frame, askerOf(peer), deps);
  if (!peer.isOpen) return;
  if (!plan.ok) return peer.refuse(plan.refusal, { ref: frame.ref, channel: frame.channel });
  beginSubscription(frame, plan, peer, deps);
}

/** A client that asks over its connection. */
export function askerOf(peer: Peer): Asker {
  const { identity, dialect, subscriptions } = peer.connection;
  return { identity, dialect, held: () => subscriptions.size, isOpen: () => peer.isOpen };
}

/**
 * Decides about a subscription; rejects only if the decision could not be made. A review looks at what is live when it
 * begins: what was decided before and goes live after it would be seen by neither, so it is decided once more.
 */
export async function planSubscription(frame: SubscribeFrame, asker: Asker, deps: SubscribeDeps): Promise<Plan> {
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const begun = deps.reviewsBegun();
    const plan = await planOnce(frame, asker, deps);
    if (!plan.ok || begun === deps.reviewsBegun() || !asker.isOpen()) return plan;
  }
  return refuse('unavailable', 'Channels and policies are changing too fast to decide');
}

async function planOnce(frame: SubscribeFrame, asker: Asker, deps: SubscribeDeps): Promise<Plan> {
  const { identity, dialect } = asker;
  if (asker.held() >= deps.maxSubscriptions) {
    return refuse('too_many_subscriptions', `A connection has at most ${deps.maxSubscriptions} subscriptions`);
  }
  const parsed = parseChannelName(frame.channel, frame.filter?.schema);
  if (!parsed.ok) return parsed;
  const { channel } = parsed;
  const decision = await deps.subscribePolicy.decide(identity, channel);
  // Access comes first: a filter's errors would tell whoever may not subscribe what exists.
  if (!decision.allowed) return { ok: false, refusal: decision.refusal };
  const events = readEventFilter(channel, frame.filter);
  if (!events.ok) return events;
  const rows = await readRowFilter(frame.filter, decision, identity, deps);
  if (!rows.ok) return rows;
  // Rows have no publisher: `echo` says something of other channels alone.
  const echo = channel.kind === 'table' || frame.echo !== false;
  const { name: channelName } = channel;
  const spec: GroupSpec = {
    dialect,
    channelName,
    events: events.events,
    filter: rows.filter,
    identity,
    echo,
  };
  const tableOid = decision.table?.oid ?? null;
  const beginning = await planBeginning(frame, { channel, spec, tableOid }, deps);
  if (!beginning.ok) return beginning;
  const warnings = frame.filter?.where === undefined ? [] : decision.whereWarnings;
  const { watch } = decision;
  return { ok: true, channel, watch, spec, tableOid, beginning, warnings: [...decision.warnings, ...warnings] };
}

async function readRowFilter(
  filter: FilterFrame | undefined,
  { table }: Allowed,
  identity: Identity,
  { subscribePolicy }: SubscribeDeps,
): Promise<RowFilterResult> {
  if (filter === undefined || (filter.where === undefined && filter.columns === undefined)) return UNFILTERED;
  return subscribePolicy.readFilter(identity, must(table, 'the rules of a table'), filter);
}

const UNFILTERED: RowFilterResult = { ok: true, filter: null };

/** What was missed, or is there, follows the reply; then `live`, which a plain subscription is at once. */
export function beginSubscription(
  frame: SubscribeFrame,
  plan: Extract<Plan, { ok: true }>,
  peer: Peer,
  deps: SubscribeDeps,
): void {
  const { connection } = peer;
  const { channel, watch, spec, tableOid, warnings } = plan;
  // Read first: should it fail, nothing has been subscribed yet.
  const position = deps.position();
  const { way, recovery } = settledAt(position, frame.snapshot === true, plan.beginning);
  const isLive = way.kind === 'live' || (way.kind === 'replay' && way.after === position);
  const id = randomBytes(9).toString('base64url');
  const backlog = isLive ? undefined : deps.resumption.backlog();
  const subscription = deps.hub.subscribe({ id, connection, channel: channel.canonical, spec, backlog });
  deps.subscribedChannels.remember(subscription, { channel, watch });
  const about = { channel: frame.channel, subscriptionId: id, position };
  const told = warnings.length === 0 ? {} : { warnings };
  peer.reply({ type: 'subscribed', ...about, ...recovery, ...told, ref: frame.ref });
  if (way.kind !== 'live' && !isLive) deps.resumption.begin(subscription, tableOid, way);
  else if (frame.since !== undefined) peer.reply({ type: 'live', ...about });
}

function refuse(code: Refusal['code'], message: string): Extract<Plan, { ok: false }> {
  return { ok: false, refusal: { code, message } };
}
