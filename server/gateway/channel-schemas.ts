// Owns the schemas of channels: what is validated, and what the document shows. Fields stand in the order of the
// base API, then what Rowcast adds.

import { Type } from 'typebox';
import { MAX_URL_LENGTH } from '../channels/webhook-url.ts';
import { instantSchema } from './instant-schema.ts';
import { uuidSchema } from './uuid-schema.ts';

const MAX_DESCRIPTION = 1_000;
const MAX_URLS = 20;
/** A hundred years. */
const MAX_DAYS = 36_500;

const pattern = Type.String({
  description:
    'A name, or a pattern: `*` (or `%`) stands for one or more characters. 1 to 200 letters, digits and ' +
    '`_ - . : / @ = , ; #`. `db:table` or `db:schema.table` watches that table.',
  examples: ['order:*'],
});
const description = Type.Union([Type.String({ maxLength: MAX_DESCRIPTION }), Type.Null()], {
  description: 'For people. Null: none',
  examples: ['Order updates channel'],
});
const webhookUrls = Type.Union(
  [Type.Array(Type.String({ maxLength: MAX_URL_LENGTH }), { maxItems: MAX_URLS }), Type.Null()],
  {
    description:
      'http(s) URLs without user name and password that get each message. Null: inherited from the next less specific ' +
      'match. Empty: none',
    examples: [['https://example.com/webhook']],
  },
);
const enabled = Type.Boolean({ description: 'False closes every name that this row decides', examples: [true] });
const persist = Type.Union([Type.Boolean(), Type.Null()], {
  description: 'False: messages are given to whoever is there, and never written. Null: inherited; true if nobody says',
  examples: [null],
});
const retentionDays = Type.Union([Type.Integer({ minimum: 1, maximum: MAX_DAYS }), Type.Null()], {
  description: 'Days that history is kept, if shorter than the global setting. Null: inherited',
  examples: [null],
});

export const ChannelSchema = Type.Object({
  id: uuidSchema('Of the channel'),
  pattern,
  description,
  webhookUrls,
  enabled,
  createdAt: instantSchema,
  updatedAt: instantSchema,
  persist,
  retentionDays,
});

const changeable = {
  description: Type.Optional(description),
  webhookUrls: Type.Optional(webhookUrls),
  enabled: Type.Optional(enabled),
  persist: Type.Optional(persist),
  retentionDays: Type.Optional(retentionDays),
};
const closed = { additionalProperties: false };

const PRINTED = {
  pattern: 'order:*',
  description: 'Order updates channel',
  webhookUrls: ['https://example.com/webhook'],
  enabled: true,
};

export const NewChannelSchema = Type.Object({ pattern, ...changeable }, { ...closed, examples: [PRINTED] });

export const ChannelChangeSchema = Type.Object(
  { pattern: Type.Optional(pattern), ...changeable },
  { ...closed, examples: [{ description: 'Updated order channel description', enabled: false }] },
);
