// Owns the fan-out of messages that are not persisted: what the gateway was allowed to publish goes straight to
// the subscribers of its channel, never through the WAL. It has no position, and no place in history.

import type { PublishedMessage } from '../changes/published-message.ts';
import type { Hub } from '../hub/hub.ts';
import type { Group } from '../hub/subscription.ts';
import type { DeliveryCounters } from './delivery-counters.ts';
import { FrameVariant } from './frame-variant.ts';
import { SAME } from './view-event.ts';

/** A message as the gateway has it. */
export type EphemeralMessage = Pick<
  PublishedMessage,
  'channel' | 'event' | 'messageId' | 'timestamp' | 'senderId' | 'connectionId'
> & {
  /** JSON. */
  readonly payload: string;
};

export type EphemeralOptions = { readonly hub: Hub; readonly counters: Pick<DeliveryCounters, 'ephemeral'> };

export class EphemeralFanOut {
  readonly #options: EphemeralOptions;

  constructor(options: EphemeralOptions) {
    this.#options = options;
  }

  /** Queues and writes the message to everyone who is subscribed; returns to how many subscriptions. */
  fanOut(message: EphemeralMessage): number {
    const { hub, counters } = this.#options;
    const frames = new Map<string, Uint8Array>();
    let count = 0;
    for (const group of hub.groups(message.channel)) {
      if (group.spec.events !== null && !group.spec.events.has(message.event)) continue;
      const exceptId = group.spec.echo === false ? message.connectionId : null;
      count += hub.deliver(group, frameFor(message, group, frames), exceptId ?? undefined);
    }
    hub.flush();
    counters.ephemeral(count);
    return count;
  }
}

function frameFor(message: EphemeralMessage, { spec }: Group, frames: Map<string, Uint8Array>): Uint8Array {
  const { dialect, channelName, subscriptionId } = spec;
  const key = `${dialect} ${subscriptionId ?? ''} ${channelName}`;
  let frame = frames.get(key);
  if (frame === undefined) {
    const framed = { ...message, kind: 'published' as const, payload: Buffer.from(message.payload) };
    const variant = { dialect, channelName, subscriptionId, mask: null, maxPayloadBytes: Number.POSITIVE_INFINITY };
    frame = new FrameVariant([framed], variant).frame(0, SAME);
    frames.set(key, frame);
  }
  return frame;
}
