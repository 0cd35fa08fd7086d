// Owns the body of a webhook made from a message as a socket brings it: the format `message`, in the same order of fields.
// What a socket does not say is null here: the configured channel.

import type { Message } from '../../client/rowcast.js';

/** As the server would send it, but for `channelId`, and for digits beyond those that JavaScript keeps. */
export function messageBody({ messageId, channel, event, payload, senderId = null, timestamp }: Message): string {
  const senderType = senderId === null ? 'system' : 'user';
  return JSON.stringify({
    ...{ messageId: messageId ?? null, channelId: null, channelName: channel, event, payload, senderId, senderType },
    timestamp: timestamp ?? new Date().toISOString(),
  });
}
