// Owns what each subscription was made for: the parsed channel, of which the hub knows only the canonical name,
// and the watching of its table that it began under. Judging again needs both. Held weakly: whoever ends a
// subscription need not tell. And which were decided lately, for the review to confirm.

import type { Subscription } from '../hub/subscription.ts';
import { must } from '../lib/assert.ts';
import type { ParsedChannel } from '../protocol/channel-name.ts';

export type Subscribed = {
  readonly channel: ParsedChannel;
  /** As the decision named it; null for channels that are no table. */
  readonly watch: string | null;
};

export class SubscribedChannels {
  readonly #subscribed = new WeakMap<Subscription, Subscribed>();
  #decided = new Set<Subscription>();

  remember(subscription: Subscription, subscribed: Subscribed): void {
    this.#subscribed.set(subscription, subscribed);
    this.noteDecided(subscription);
  }

  /** A decision has just let the subscription begin, or go on under another identity. */
  noteDecided(subscription: Subscription): void {
    this.#decided.add(subscription);
  }

  /** Those that were decided since the last call. */
  takeDecided(): ReadonlySet<Subscription> {
    const decided = this.#decided;
    this.#decided = new Set();
    return decided;
  }

  /** What a subscription that was remembered was made for. */
  of(subscription: Subscription): Subscribed {
    return must(this.#subscribed.get(subscription), 'the channel of a subscription');
  }
}
