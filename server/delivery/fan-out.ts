// Owns the delivery of one run: neighbouring messages of one table, or of one channel. Each variant is encoded
// once; a group gets the longest stretches that it wants as one chunk. Subscriptions that share a connection and a
// channel get theirs message by message, so that the connection sees commit order; so do those that do not want
// what their own connection published.
// Hot path: nothing is allocated, awaited or called per subscriber but the hub's push.

import type { Message } from '../changes/change-message.ts';
import type { Hub } from '../hub/hub.ts';
import type { Group } from '../hub/subscription.ts';
import type { Audience, GroupView } from './audience.ts';
import { eventOf, FrameVariant } from './frame-variant.ts';
import type { Run } from './stretch.ts';
import { HIDDEN, SAME } from './view-event.ts';

export type FanOutOptions = { readonly hub: Hub; readonly maxPayloadBytes: number };

export type FanOutResult = {
  /** How many subscriptions got each message of the run. */
  readonly counts: Uint32Array;
  /** Groups that may have missed rows. */
  readonly withheld: readonly Group[];
};

export type Receiver = { readonly group: Group; readonly view: GroupView; readonly frames: FrameVariant };

/** Queues the frames of `run` for everyone who sees and wants them. */
export function fanOut(options: FanOutOptions, run: Run, audience: Pick<Audience, 'view'>): FanOutResult {
  const counts = new Uint32Array(run.messages.length);
  const receivers = receiversOf(options, run, audience);
  const apart = receivers.filter(isApart);
  for (const receiver of receivers) {
    if (!isApart(receiver)) deliverAll(options.hub, run, receiver, counts);
  }
  if (apart.length > 0) deliverOneByOne(options.hub, run, apart, counts);
  const withheld = receivers.filter(({ view }) => view.isWithheld).map(({ group }) => group);
  return { counts, withheld };
}

function isApart({ group: { spec } }: Receiver): boolean {
  return spec.subscriptionId !== undefined || spec.echo === false;
}

function receiversOf({ hub, maxPayloadBytes }: FanOutOptions, run: Run, audience: Pick<Audience, 'view'>): Receiver[] {
  const variants = new Map<string, FrameVariant>();
  const receivers: Receiver[] = [];
  for (const group of hub.groups(run.channel)) {
    const view = audience.view(group, run);
    if (view === undefined) continue;
    const { dialect, channelName, subscriptionId } = group.spec;
    const key = `${dialect} ${subscriptionId ?? ''} ${view.mask?.join('') ?? ''} ${channelName}`;
    let frames = variants.get(key);
    if (frames === undefined) {
      frames = new FrameVariant(run.messages, {
        dialect,
        channelName,
        subscriptionId,
        mask: view.mask,
        maxPayloadBytes,
      });
      variants.set(key, frames);
    }
    receivers.push({ group, view, frames });
  }
  return receivers;
}

function deliverAll(hub: Hub, { messages }: Run, receiver: Receiver, counts: Uint32Array): void {
  let from = 0;
  for (let index = 0; index <= messages.length; index++) {
    const view = index < messages.length ? wantedView(receiver, messages[index] as Message, index) : HIDDEN;
    if (view === SAME) continue;
    if (index > from) deliver(hub, receiver, receiver.frames.chunk(from, index), from, index, counts);
    if (view !== HIDDEN) deliver(hub, receiver, receiver.frames.frame(index, view), index, index + 1, counts);
    from = index + 1;
  }
}

function deliverOneByOne(hub: Hub, { messages }: Run, receivers: readonly Receiver[], counts: Uint32Array): void {
  for (const [index, message] of messages.entries()) {
    for (const receiver of receivers) {
      const view = wantedView(receiver, message, index);
      if (view === HIDDEN) continue;
      const members = hub.deliver(receiver.group, receiver.frames.frame(index, view), silentFor(receiver, message));
      counts[index] = (counts[index] as number) + members;
    }
  }
}

/** The connection that does not want to hear itself. */
export function silentFor({ group }: Pick<Receiver, 'group'>, message: Message): string | undefined {
  if (group.spec.echo !== false || message.kind !== 'published') return undefined;
  return message.connectionId ?? undefined;
}

function deliver(
  hub: Hub,
  { group }: Receiver,
  bytes: Uint8Array,
  from: number,
  to: number,
  counts: Uint32Array,
): void {
  const members = hub.deliver(group, bytes);
  for (let index = from; index < to; index++) counts[index] = (counts[index] as number) + members;
}

/** How the group is told of a message; `filter.event` is asked last, of the event as it is delivered. */
export function wantedView({ group, view }: Pick<Receiver, 'group' | 'view'>, message: Message, index: number): number {
  const told = view.views === null ? SAME : (view.views[index] as number);
  const { events } = group.spec;
  if (told === HIDDEN || events === null || events.has(eventOf(message, told))) return told;
  return HIDDEN;
}
