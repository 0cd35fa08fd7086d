// Owns the delivery of one run: neighbouring messages of one channel. Each variant is encoded once; a group
// gets the longest stretches that it wants as one chunk. Subscriptions that share a connection and a channel
// get theirs message by message, so that the connection sees commit order.
// Hot path: nothing is allocated, awaited or called per subscriber but the hub's push.

import type { ChangeMessage } from '../changes/change-message.ts';
import type { Hub } from '../hub/hub.ts';
import type { Group } from '../hub/subscription.ts';
import type { Audience } from './audience.ts';
import { FrameVariant } from './frame-variant.ts';

/** Queues the frames of `run` for everyone who sees and wants them; returns how many subscriptions got each message. */
export function fanOut(hub: Hub, run: readonly ChangeMessage[], audience: Audience): Uint32Array {
  const counts = new Uint32Array(run.length);
  const variants = new Map<string, FrameVariant>();
  const apart: Group[] = [];
  for (const group of hub.groups((run[0] as ChangeMessage).channel)) {
    if (!audience.sees(group)) continue;
    if (group.spec.subscriptionId === undefined)
      deliverStretches(hub, run, group, variantOf(variants, run, group), counts);
    else apart.push(group);
  }
  if (apart.length > 0) deliverOneByOne(hub, run, apart, variants, counts);
  return counts;
}

function deliverStretches(
  hub: Hub,
  run: readonly ChangeMessage[],
  group: Group,
  frames: FrameVariant,
  counts: Uint32Array,
): void {
  let from = 0;
  for (let index = 0; index <= run.length; index++) {
    if (index < run.length && wants(group, run[index] as ChangeMessage)) continue;
    if (index > from) deliver(hub, group, frames, from, index, counts);
    from = index + 1;
  }
}

function deliverOneByOne(
  hub: Hub,
  run: readonly ChangeMessage[],
  groups: readonly Group[],
  variants: Map<string, FrameVariant>,
  counts: Uint32Array,
): void {
  for (const [index, message] of run.entries()) {
    for (const group of groups) {
      if (wants(group, message)) deliver(hub, group, variantOf(variants, run, group), index, index + 1, counts);
    }
  }
}

function deliver(hub: Hub, group: Group, frames: FrameVariant, from: number, to: number, counts: Uint32Array): void {
  const members = hub.deliver(group, frames.frames(from, to));
  for (let index = from; index < to; index++) counts[index] = (counts[index] as number) + members;
}

function wants(group: Group, message: ChangeMessage): boolean {
  const { events } = group.spec;
  return events === null || events.has(message.event);
}

function variantOf(variants: Map<string, FrameVariant>, run: readonly ChangeMessage[], { spec }: Group): FrameVariant {
  const key = spec.subscriptionId === undefined ? spec.channelName : `${spec.subscriptionId} ${spec.channelName}`;
  let variant = variants.get(key);
  if (variant === undefined) {
    variant = new FrameVariant(run, spec);
    variants.set(key, variant);
  }
  return variant;
}
