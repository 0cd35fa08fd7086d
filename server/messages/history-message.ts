// Owns the JSON of one message of history: printed fields in printed order, then the position. Payloads are spliced in as the
// text that PostgreSQL holds: what is parsed and printed again loses the digits of large numbers.

import { rfc3339 } from '../protocol/timestamp-text.ts';
import { TABLE_PREFIX } from './history-query.ts';
import type { HistorySource } from './history-scope.ts';

/** As the statement of history-statement.ts gives it. */
export type HistoryRow = {
  readonly source: HistorySource;
  readonly position: string;
  /** Of a message; a change's follows from its position. */
  readonly id: string | null;
  readonly event_name: string;
  /** The row that decided when it was published; that may be gone. */
  readonly channel_id: string | null;
  /** The relation, of a change. */
  readonly channel_name: string;
  readonly payload: string;
  readonly sender_type: string;
  readonly sender_id: string | null;
  readonly ws_audience_count: number;
  readonly wh_audience_count: number;
  readonly wh_delivered_count: number;
  /** As Postgres prints it, in UTC. */
  readonly at: string;
};

/** `channelId` is that of a channel row that exists. `idOf` gives the id of a row change. */
export function historyJson(row: HistoryRow, channelId: string | null, idOf: (position: string) => string): string {
  const { source, position, channel_name, payload } = row;
  const isChange = source === 'changes';
  const name = isChange ? TABLE_PREFIX + channel_name : channel_name;
  return [
    `{"id":"${isChange ? idOf(position) : row.id}"`,
    `"eventName":${JSON.stringify(row.event_name)}`,
    `"channelId":${JSON.stringify(channelId)}`,
    `"channelName":${JSON.stringify(name)}`,
    `"payload":${isChange ? changePayload(payload) : payload}`,
    `"senderType":"${row.sender_type}"`,
    `"senderId":${JSON.stringify(row.sender_id)}`,
    `"wsAudienceCount":${row.ws_audience_count}`,
    `"whAudienceCount":${row.wh_audience_count}`,
    `"whDeliveredCount":${row.wh_delivered_count}`,
    `"createdAt":"${rfc3339(row.at)}"`,
    `"position":"${position}"}`,
  ].join(',');
}

// What jsonb could not hold the journal keeps as text; the payload of a change has no such field of its own, and jsonb prints
// shorter names first.
const KEPT_AS_TEXT = '{"text": ';

function changePayload(payload: string): string {
  return payload.startsWith(KEPT_AS_TEXT) ? (JSON.parse(payload) as { text: string }).text : payload;
}
