// Owns the schemas of history and statistics: what is validated, and what the document shows. Fields stand in the order of
// the base API, then what Rowcast adds.

import { Type } from 'typebox';
import { instantSchema } from './instant-schema.ts';
import { uuidSchema } from './uuid-schema.ts';

const closed = { additionalProperties: false };
const count = (description: string) => Type.Integer({ minimum: 0, description });
const nullable = (schema: ReturnType<typeof Type.String> | ReturnType<typeof uuidSchema>, description: string) =>
  Type.Union([schema, Type.Null()], { description });

const BOUND = 'a time (ISO 8601 with its zone, in a URL `%2B` for `+`; a date is its first moment in UTC)';
const since = Type.String({
  description: `From here on: ${BOUND}, or behind a position`,
  examples: ['2024-01-01T00:00:00Z'],
});
const until = Type.String({
  description: `Before here: ${BOUND}, or before a position. The next page of a list is before the position of its last message`,
  examples: ['2024-02-01T00:00:00Z'],
});
const channelId = uuidSchema('Filter by channel UUID');

export const HistoryQuerySchema = Type.Object(
  {
    channelId: Type.Optional(channelId),
    eventName: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'Filter by event name', examples: ['order.created'] }),
    ),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000, default: 100, description: 'Maximum messages to return' }),
    ),
    offset: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 100_000, default: 0, description: 'Number of messages to skip' }),
    ),
    channel: Type.Optional(
      Type.String({
        description: 'Filter by channel name: no pattern; `db:posts` is the table',
        examples: ['order:123'],
      }),
    ),
    senderId: Type.Optional(
      Type.String({ minLength: 1, maxLength: 1_000, description: 'Filter by sender: the claim `sub`' }),
    ),
    since: Type.Optional(since),
    until: Type.Optional(until),
    order: Type.Optional(
      Type.Enum(['desc', 'asc'], { default: 'desc', description: 'Newest first (desc), or oldest first' }),
    ),
  },
  closed,
);

export const MessageSchema = Type.Object({
  id: uuidSchema('The messageId'),
  eventName: Type.String({ examples: ['order.created'] }),
  channelId: nullable(uuidSchema(''), 'The configured channel; null once that is deleted'),
  channelName: Type.String({ examples: ['order:123'] }),
  payload: Type.Unknown({ description: 'Any JSON', examples: [{ orderId: '123', status: 'pending', total: 99.99 }] }),
  senderType: Type.Enum(['user', 'system'], { description: 'system: published without claims, or a row change' }),
  senderId: nullable(Type.String(), 'The claim `sub` of the publisher'),
  wsAudienceCount: count('Subscriptions it was written to at first'),
  whAudienceCount: count('Webhook deliveries made for it'),
  whDeliveredCount: count('Webhook deliveries that were acknowledged'),
  createdAt: instantSchema,
  position: Type.String({
    description: 'Its place in the order of everything',
    examples: ['6b03fedc-00000000018d3490-00000001'],
  }),
});

export const StatsQuerySchema = Type.Object(
  {
    channelId: Type.Optional(channelId),
    since: Type.Optional(Type.String({ description: `From here on: ${BOUND}`, examples: ['2024-01-01T00:00:00Z'] })),
    until: Type.Optional(Type.String({ description: `Before here: ${BOUND}`, examples: ['2024-02-01T00:00:00Z'] })),
  },
  closed,
);

export const StatsSchema = Type.Object({
  totalMessages: count('Published messages and row changes'),
  whDeliveryRate: Type.Number({ description: 'whDelivered of whAudience; 0 if there is none', examples: [0.98] }),
  topEvents: Type.Array(Type.Object({ eventName: Type.String(), count: count('At least 1') }), {
    maxItems: 10,
    description: 'The most frequent ones first',
    examples: [[{ eventName: 'order.created', count: 450 }]],
  }),
  whAudience: count('Webhook deliveries made'),
  whDelivered: count('Webhook deliveries that were acknowledged'),
});

export const RemovalQuerySchema = Type.Object(
  { before: Type.String({ description: `Everything before here goes: ${BOUND}, or a position` }) },
  closed,
);

export const RemovalSchema = Type.Object({ deleted: count('Messages and row changes that are gone') });

export const ConfigSchema = Type.Object(
  {
    retentionDays: Type.Union([Type.Integer({ minimum: 1, maximum: 36_500 }), Type.Null()], {
      description: 'Days that history is kept; null: for ever. Channels may say a shorter time',
      examples: [7],
    }),
  },
  closed,
);
