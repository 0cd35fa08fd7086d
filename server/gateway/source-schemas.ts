// Owns the schemas of webhook sources: what is validated, and what the document shows.

import { Type } from 'typebox';
import { FREE_MONTHLY_LIMIT } from '../webhooks/source.ts';
import { SECRET_PATTERN } from '../webhooks/source-signature.ts';
import { instantSchema } from './instant-schema.ts';
import { uuidSchema } from './uuid-schema.ts';

const MAX_NAME = 200;
/** An integer of the database. */
const MAX_LIMIT = 2_147_483_647;

const name = Type.String({ minLength: 1, maxLength: MAX_NAME, description: 'For people', examples: ['shop'] });
const plan = Type.Union([Type.Literal('free'), Type.Literal('metered')], {
  description: `\`free\`: ${FREE_MONTHLY_LIMIT} a month at most. \`metered\`: any number, or up to \`monthlyLimit\``,
  examples: ['free'],
});
const monthlyLimit = Type.Union([Type.Integer({ minimum: 0, maximum: MAX_LIMIT }), Type.Null()], {
  description: 'Webhooks accepted in a month, UTC. Null: what the plan says',
  examples: [null],
});
const enabled = Type.Boolean({ description: 'False closes slug and token until it is true again', examples: [true] });
const verificationSecret = Type.Union([Type.String({ pattern: SECRET_PATTERN, maxLength: 100 }), Type.Null()], {
  description:
    'The secret by which the sender signs (Standard Webhooks, `whsec_…`): what is not signed by it is refused with 401. ' +
    'Never shown again. Null: signatures are not checked',
  examples: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
});
const token = Type.String({
  description: 'Opens the streams of this source. Shown here and never again',
  examples: ['vP5yxfV3zUMB7xwLrOQeTq8sGJ0d1cXn2bKhYtWmA4E'],
});

const FIELDS = {
  id: uuidSchema('Of the source'),
  name,
  slug: Type.String({ description: 'A secret of the sender and you', examples: ['Zk3vJx0cQ2mT5wYb8nRfLs1p'] }),
  path: Type.String({ description: 'Where to post to', examples: ['/api/in/Zk3vJx0cQ2mT5wYb8nRfLs1p'] }),
  channel: Type.String({
    description: 'Where its webhooks are published',
    examples: ['in:550e8400-e29b-41d4-a716-446655440000'],
  }),
  plan,
  monthlyLimit,
  enabled,
  verifiesSignature: Type.Boolean({ description: 'Whether signatures of its sender are checked', examples: [false] }),
  rotatedAt: Type.Union([instantSchema, Type.Null()], {
    description: 'When the token was last rotated',
    examples: [null],
  }),
  createdAt: instantSchema,
  updatedAt: instantSchema,
};

export const SourceSchema = Type.Object(FIELDS);
export const SourceWithTokenSchema = Type.Object({ ...FIELDS, token });

const changeable = {
  plan: Type.Optional(plan),
  monthlyLimit: Type.Optional(monthlyLimit),
  enabled: Type.Optional(enabled),
  verificationSecret: Type.Optional(verificationSecret),
};
const closed = { additionalProperties: false };

export const NewSourceSchema = Type.Object(
  { name, ...changeable },
  { ...closed, examples: [{ name: 'shop', plan: 'metered', monthlyLimit: 100_000 }] },
);
export const SourceChangeSchema = Type.Object(
  { name: Type.Optional(name), ...changeable },
  { ...closed, examples: [{ monthlyLimit: 500 }] },
);

export const UsageQuerySchema = Type.Object(
  {
    month: Type.Optional(
      Type.String({
        pattern: '^[1-9]\\d{3}-(0[1-9]|1[0-2])$',
        description: 'Default: the present one, UTC',
        examples: ['2024-05'],
      }),
    ),
  },
  closed,
);
export const UsageSchema = Type.Object({
  month: Type.String({ examples: ['2024-05'] }),
  accepted: Type.Integer({ minimum: 0, description: 'Webhooks answered with 200', examples: [417] }),
  limit: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()], { description: 'Null: none', examples: [1_000] }),
});
