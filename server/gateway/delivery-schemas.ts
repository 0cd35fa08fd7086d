// Owns the schemas of deliveries of webhooks: what is validated, and what the document shows.

import { Type } from 'typebox';
import { DELIVERY_STATES } from '../webhooks/delivery.ts';
import { instantOrNullSchema, instantSchema } from './instant-schema.ts';
import { uuidSchema } from './uuid-schema.ts';

const closed = { additionalProperties: false };
const textOrNull = (description: string) => Type.Union([Type.String(), Type.Null()], { description });
/** A bigint of the database, which begins at 1. */
const deliveryId = Type.String({ pattern: '^[1-9]\\d{0,17}$', description: 'Of the delivery', examples: ['4711'] });
const state = Type.Enum([...DELIVERY_STATES], {
  description:
    '`pending`: to be sent; `leased`: being sent; `delivered`; `dead`: given up; `cancelled`: the webhook was disabled; ' +
    '`unjudged`, `hidden`: a row change that the role may not see, or of which that is not known yet',
  examples: ['dead'],
});
const TIME = 'ISO 8601 with its zone; a date is its first moment in UTC';

const FIELDS = {
  id: deliveryId,
  endpointId: uuidSchema('Of the webhook'),
  messageId: uuidSchema('Of the message'),
  channelName: Type.String({ examples: ['order:123'] }),
  event: Type.String({ examples: ['order.created'] }),
  source: Type.Enum(['messages', 'changes', 'test']),
  state,
  attempts: Type.Integer({ minimum: 0 }),
  batchId: Type.Union([uuidSchema('Of the batch'), Type.Null()]),
  nextAttemptAt: instantOrNullSchema,
  firstAttemptAt: instantOrNullSchema,
  giveUpAt: instantOrNullSchema,
  finishedAt: instantOrNullSchema,
  lastStatus: Type.Union([Type.Integer(), Type.Null()], { description: 'The last HTTP status; null if none came' }),
  lastError: textOrNull('Why the last attempt failed'),
  createdAt: instantSchema,
};

const AttemptSchema = Type.Object({
  attempt: Type.Integer({ minimum: 1 }),
  startedAt: instantSchema,
  durationMs: Type.Union([Type.Integer(), Type.Null()]),
  status: Type.Union([Type.Integer(), Type.Null()]),
  error: textOrNull('What went wrong'),
  responseHead: textOrNull('The first bytes of the answer'),
});

export const DeliverySchema = Type.Object(FIELDS);
export const DeliveryWithAttemptsSchema = Type.Object({
  ...FIELDS,
  body: textOrNull('What is sent, to the byte; of a batch what this message is in it'),
  attemptLog: Type.Array(AttemptSchema, { description: 'Every try, the first one first' }),
});

export const DeliveryParams = Type.Object({ id: deliveryId }, closed);

export const DeliveryQuerySchema = Type.Object(
  {
    endpointId: Type.Optional(uuidSchema('Of one webhook')),
    state: Type.Optional(state),
    channel: Type.Optional(Type.String({ maxLength: 200, description: 'Of one channel', examples: ['order:123'] })),
    since: Type.Optional(
      Type.String({ description: `Written from here on: ${TIME}`, examples: ['2024-01-01T00:00:00Z'] }),
    ),
    until: Type.Optional(
      Type.String({ description: `Written before here: ${TIME}`, examples: ['2024-02-01T00:00:00Z'] }),
    ),
    before: Type.Optional({ ...deliveryId, description: 'The next page: the `id` of the last delivery of this one' }),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, default: 100, description: 'How many at most' })),
  },
  closed,
);

export const RecoverySchema = Type.Object(
  {
    since: Type.String({ description: `Written from here on: ${TIME}`, examples: ['2024-01-01T00:00:00Z'] }),
    until: Type.Optional(Type.String({ description: `Written before here: ${TIME}` })),
    channel: Type.Optional(Type.String({ maxLength: 200, description: 'Only of this channel' })),
    event: Type.Optional(Type.String({ maxLength: 200, description: 'Only of this event' })),
    states: Type.Optional(
      Type.Array(Type.Enum(['dead', 'cancelled', 'delivered']), {
        minItems: 1,
        maxItems: 3,
        default: ['dead', 'cancelled'],
        description: 'Which of them are sent again',
      }),
    ),
  },
  { ...closed, examples: [{ since: '2024-01-01T00:00:00Z' }] },
);
export const RecoveredSchema = Type.Object({
  recovered: Type.Integer({ minimum: 0, description: 'Deliveries that are sent again' }),
});
