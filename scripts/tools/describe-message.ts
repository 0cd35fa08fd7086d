// Owns one message as one line for people: when, what, where, and the row or payload.

import type { Message, RowChange } from '../../client/rowcast.js';

/**
 * `10:30:00.123  INSERT  db:posts  {"id":1}`; for an update also what it was before, as far as it is known.
 * `payloadText` is the payload as it came, where whoever asks has it.
 */
export function describeMessage({ channel, event, payload, timestamp }: Message, payloadText?: string): string {
  const time = (timestamp ?? new Date().toISOString()).slice(11, 23).replace('Z', '').padEnd(12, ' ');
  return [
    time,
    event,
    channel,
    isRowChange(payload) ? describeRow(payload) : (payloadText ?? JSON.stringify(payload)),
  ].join('  ');
}

function isRowChange(payload: unknown): payload is RowChange {
  return typeof payload === 'object' && payload !== null && 'eventType' in payload && 'table' in payload;
}

function describeRow(change: RowChange): string {
  const parts: string[] = [];
  if (change.new !== null && change.new !== undefined) parts.push(JSON.stringify(change.new));
  if (change.old !== null && change.old !== undefined) parts.push(`old ${JSON.stringify(change.old)}`);
  if (change.unchanged?.length) parts.push(`unchanged ${change.unchanged.join(', ')}`);
  if (change.cause) parts.push(`by ${change.cause}`);
  if (change.truncated) parts.push('truncated');
  return parts.join('  ');
}
