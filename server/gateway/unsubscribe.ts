// Owns the `unsubscribe` frame: by channel it ends all subscriptions on it, however each was spelled; by id
// the one.

import type { Connection } from '../hub/connection.ts';
import type { Hub } from '../hub/hub.ts';
import type { Subscription } from '../hub/subscription.ts';
import { parseChannelName } from '../protocol/channel-name.ts';
import type { UnsubscribeFrame } from '../protocol/client-frame.ts';
import type { Peer } from './peer.ts';

export function unsubscribe(frame: UnsubscribeFrame, peer: Peer, hub: Hub): void {
  const { channel, subscriptionId, ref } = frame;
  if ((channel === undefined) === (subscriptionId === undefined)) {
    return peer.refuse(
      { code: 'bad_frame', message: 'unsubscribe names either a channel or a subscriptionId' },
      { ref },
    );
  }
  const ended =
    channel === undefined ? byId(peer.connection, subscriptionId as string) : byChannel(peer.connection, channel);
  const [first] = ended;
  if (first === undefined) {
    return peer.refuse({ code: 'not_subscribed', message: 'No such subscription' }, { ref, channel });
  }
  for (const subscription of ended) hub.unsubscribe(subscription);
  peer.reply({
    type: 'unsubscribed',
    channel: channel ?? first.group.spec.channelName,
    subscriptionId: ended.length === 1 ? first.id : undefined,
    ref,
  });
}

function byId(connection: Connection, id: string): Subscription[] {
  const subscription = connection.subscriptions.get(id);
  return subscription === undefined ? [] : [subscription];
}

// The spelling counts too: `db:posts` with filter.schema `audit` is known to the client as `db:posts`.
function byChannel(connection: Connection, channel: string): Subscription[] {
  const parsed = parseChannelName(channel);
  const canonical = parsed.ok ? parsed.channel.canonical : undefined;
  return [...connection.subscriptions.values()].filter(
    (subscription) => subscription.channel === canonical || subscription.group.spec.channelName === channel,
  );
}
