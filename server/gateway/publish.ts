// Owns the `publish` frame: the payload exactly as its text stands in the frame, published under the identity
// that the connection has now, and the reply once the database has committed.

import { must } from '../lib/assert.ts';
import type { PublishFrame } from '../protocol/client-frame.ts';
import { memberTexts } from '../protocol/json-slices.ts';
import type { Peer } from './peer.ts';
import type { PublishIntake } from './publish-intake.ts';

export type PublishDeps = { readonly publishIntake: PublishIntake };

/** Handles one frame; `text` is the frame as it came. Rejects only for what is no fault of the client. */
export async function publish(
  frame: PublishFrame,
  text: string,
  peer: Peer,
  { publishIntake }: PublishDeps,
): Promise<void> {
  const { channel, event, id, ref } = frame;
  const { identity, id: connectionId } = peer.connection;
  const payload = must(memberTexts(text).get('payload'), 'the text of a payload');
  const origin = { via: 'socket' as const, identity, address: peer.address, connectionId };
  const outcome = await publishIntake.take(origin, [{ channel, event, payload, id }]);
  if (!peer.isOpen) return;
  if (!outcome.ok) return peer.refuse(outcome.refusal, { ref, channel });
  const { messageId } = must(outcome.published[0], 'the message that was published');
  peer.reply({ type: 'published', messageId, channel, event, ref });
}
