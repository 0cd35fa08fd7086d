// Owns the schemas of outgoing webhooks: what is validated, and what the document shows.

import { Type } from 'typebox';
import { MAX_URL_LENGTH } from '../channels/webhook-url.ts';
import { DEFAULT_IN_FLIGHT, FREE_IN_FLIGHT } from '../webhooks/endpoint.ts';
import { instantOrNullSchema, instantSchema } from './instant-schema.ts';
import { uuidSchema } from './uuid-schema.ts';

const MAX_TEXT = 1_000;
const MAX_EVENTS = 100;
const MAX_IN_FLIGHT = 1_000;
/** A day. */
const MAX_INTERVAL_MS = 86_400_000;

const url = Type.String({
  minLength: 1,
  maxLength: MAX_URL_LENGTH,
  description:
    'http(s), without user name and password. Private, loopback and link-local addresses are refused unless ' +
    '`ROWCAST_WEBHOOK_ALLOW` names them: here, and of every address that the name leads to when it is called',
  examples: ['https://example.com/hook'],
});
const pattern = Type.String({
  description: 'Which channels: a name, or a pattern as of channels. `db:posts` are the changes of that table',
  examples: ['order:*'],
});
const description = Type.Union([Type.String({ maxLength: MAX_TEXT }), Type.Null()], {
  description: 'For people. Null: none',
  examples: ['Order events to the warehouse'],
});
const token = Type.Union([Type.String({ maxLength: MAX_TEXT, pattern: '^[\\x21-\\x7e]+$' }), Type.Null()], {
  description: 'Sent as `Authorization: Bearer <token>`, and never shown again. Null: none',
  examples: ['warehouse-secret'],
});
const events = Type.Union(
  [Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { minItems: 1, maxItems: MAX_EVENTS }), Type.Null()],
  { description: 'Only these events. Null: all', examples: [['order.created', 'order.updated']] },
);
const mode = Type.Enum(['single', 'batch'], {
  description:
    '`single`: a request for each message. `batch`: a list of up to 1,000 at the interval, never an empty one',
});
const batchIntervalMs = Type.Integer({
  minimum: 1,
  maximum: MAX_INTERVAL_MS,
  description: 'Milliseconds from one batch to the next',
  examples: [1_000],
});
const ordered = Type.Boolean({
  description:
    'One after the other in the order of messages: the next waits until the last one was acknowledged or given up',
});
const maxInFlight = Type.Integer({
  minimum: 1,
  maximum: MAX_IN_FLIGHT,
  description: `Requests at once where it is not ordered; default ${DEFAULT_IN_FLIGHT}, at most ${FREE_IN_FLIGHT} of the plan free`,
  examples: [DEFAULT_IN_FLIGHT],
});
const plan = Type.Enum(['standard', 'free'], { description: 'What `maxInFlight` may be' });
const format = Type.Enum(['message', 'event', 'payload'], {
  description: 'The body: the message with its envelope, the event with apiKey and roomId, or the bare payload',
});
const role = Type.Union([Type.String({ maxLength: 200 }), Type.Null()], {
  description: 'Row changes as this role of `ROWCAST_ROLES` may see them. Null: all of them',
  examples: [null],
});
const claims = Type.Union([Type.Record(Type.String(), Type.Unknown()), Type.Null()], {
  description: 'The claims that policies see beside the role',
  examples: [null],
});
const enabled = Type.Boolean({
  description: 'False: nothing is written for it, and nothing is sent',
  examples: [true],
});
const secret = Type.String({
  description: 'The key of the signatures (Standard Webhooks). Shown here and never again',
  examples: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo='],
});

const FIELDS = {
  id: uuidSchema('Of the webhook'),
  url: Type.String({ examples: ['https://example.com/hook'] }),
  pattern,
  channelId: Type.Union([uuidSchema(''), Type.Null()], {
    description: 'The channel whose `webhookUrls` made it; null for one of its own',
  }),
  description,
  label: Type.String({ description: 'The `apiKey` of the format event; public' }),
  hasToken: Type.Boolean({ description: 'Whether there is a token' }),
  events,
  mode,
  batchIntervalMs,
  ordered,
  maxInFlight,
  plan,
  format,
  role,
  claims,
  enabled,
  state: Type.Enum(['active', 'paused', 'disabled'], {
    description: '`paused`: it collects and nothing is sent. `disabled`: nothing is collected either',
  }),
  stateReason: Type.Union([Type.String(), Type.Null()], { description: 'Why it is not active' }),
  stateChangedAt: instantSchema,
  consecutiveFailures: Type.Integer({ minimum: 0 }),
  failingSince: instantOrNullSchema,
  previousSecretExpiresAt: instantOrNullSchema,
  createdAt: instantSchema,
  updatedAt: instantSchema,
};

export const EndpointSchema = Type.Object(FIELDS);
export const EndpointWithSecretSchema = Type.Object({ ...FIELDS, secret });

const changeable = {
  description: Type.Optional(description),
  token: Type.Optional(token),
  events: Type.Optional(events),
  mode: Type.Optional(mode),
  batchIntervalMs: Type.Optional(batchIntervalMs),
  ordered: Type.Optional(ordered),
  maxInFlight: Type.Optional(maxInFlight),
  plan: Type.Optional(plan),
  format: Type.Optional(format),
  role: Type.Optional(role),
  claims: Type.Optional(claims),
  enabled: Type.Optional(enabled),
};
const closed = { additionalProperties: false };

export const NewEndpointSchema = Type.Object(
  { url, pattern, ...changeable },
  { ...closed, examples: [{ url: 'https://example.com/hook', pattern: 'order:*', events: ['order.created'] }] },
);
export const EndpointChangeSchema = Type.Object(
  { url: Type.Optional(url), pattern: Type.Optional(pattern), ...changeable },
  { ...closed, examples: [{ mode: 'batch', batchIntervalMs: 5_000 }] },
);
