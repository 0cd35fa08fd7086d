// Owns the headers of a webhook request: the printed ones, ours, and those of Standard Webhooks. Names of channels and
// events are the text of users: whatever a header cannot hold is percent-encoded.

import type { DueRequest } from './due-request.ts';
import { sign } from './signature.ts';

/** The headers of an attempt at `nowMs` (Unix time). */
export function requestHeaders(request: DueRequest, userAgent: string, nowMs: number): Record<string, string> {
  const timestamp = Math.floor(nowMs / 1000);
  const { id, body, secrets, token } = request;
  return {
    'content-type': 'application/json',
    'user-agent': userAgent,
    ...ofContent(request),
    'webhook-id': id,
    'webhook-timestamp': String(timestamp),
    ...(secrets.length > 0 && { 'webhook-signature': sign(secrets, id, timestamp, body) }),
    ...(token !== null && { authorization: `Bearer ${headerSafe(token)}` }),
  };
}

/** Text as a header can hold it: printable ASCII without `%` as it is, everything else percent-encoded as UTF-8. */
export function headerSafe(text: string): string {
  return text
    .toWellFormed()
    .replace(/[^\x20-\x7e]|%/gu, (character) =>
      [...Buffer.from(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
    );
}

// A batch has many events, maybe of many channels: what they are stands in its body.
function ofContent({ members, isBatch, id }: DueRequest): Record<string, string> {
  const [first] = members;
  if (isBatch || first === undefined) return { 'X-Rowcast-Batch-Size': String(members.length) };
  const event = headerSafe(first.eventName);
  const channel = headerSafe(first.channelName);
  return {
    'X-InsForge-Event': event,
    'X-InsForge-Channel': channel,
    'X-InsForge-Message-ID': id,
    'X-Rowcast-Event': event,
    'X-Rowcast-Channel': channel,
    'X-Rowcast-Message-ID': id,
  };
}
