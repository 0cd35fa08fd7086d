// Owns which parsed channel each subscription was made for. The hub knows only canonical names; judging again
// after a renewed token needs the whole. Held weakly: whoever ends a subscription need not tell.

import type { Subscription } from '../hub/subscription.ts';
import { must } from '../lib/assert.ts';
import type { ParsedChannel } from '../protocol/channel-name.ts';

export class SubscribedChannels {
  readonly #channels = new WeakMap<Subscription, ParsedChannel>();

  remember(subscription: Subscription, channel: ParsedChannel): void {
    this.#channels.set(subscription, channel);
  }

  /** The channel of a subscription that was remembered. */
  of(subscription: Subscription): ParsedChannel {
    return must(this.#channels.get(subscription), 'the channel of a subscription');
  }
}
