// Owns the parameters of `GET /realtime/sse`, and the `subscribe` frame that they stand for.

import type { FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import type { FilterFrame, SubscribeFrame } from '../protocol/client-frame.ts';
import type { HttpRefusal } from './http-refusal.ts';

const EventName = Type.String({ minLength: 1, maxLength: 200 });
const ColumnName = Type.String({ minLength: 1, maxLength: 63 });

/** `token` and `ticket` of a stream are read with the credentials. */
export const CREDENTIAL_PARAMETERS = {
  token: Type.Optional(Type.String({ description: 'Where no Authorization header can be set' })),
};

export const SSE_QUERY = Type.Object(
  {
    channel: Type.String({ description: 'One channel, as on the WebSocket', examples: ['order:123'] }),
    event: Type.Optional(
      Type.Union([EventName, Type.Array(EventName, { minItems: 1, maxItems: 64 })], {
        description: 'Only these events; may be given several times',
      }),
    ),
    where: Type.Optional(Type.String({ description: 'Of `db:` channels: a filter, as JSON' })),
    columns: Type.Optional(
      Type.Union([ColumnName, Type.Array(ColumnName, { minItems: 1, maxItems: 1600 })], {
        description: 'Of `db:` channels: only these columns; may be given several times',
      }),
    ),
    schema: Type.Optional(Type.String({ minLength: 1, maxLength: 63 })),
    since: Type.Optional(
      Type.String({ maxLength: 64, description: 'A position or a messageId; the header Last-Event-ID wins' }),
    ),
    ...CREDENTIAL_PARAMETERS,
    ticket: Type.Optional(Type.String({ description: 'Of `POST /api/realtime/ticket`, good for one stream' })),
  },
  { additionalProperties: false },
);

type SseQuery = Static<typeof SSE_QUERY>;

export type SseFrame =
  | { readonly ok: true; readonly frame: SubscribeFrame }
  | { readonly ok: false; readonly refusal: HttpRefusal };

/** The frame of a query that fits its schema. */
export function readSseQuery(request: FastifyRequest): SseFrame {
  const { channel, event, where, columns, schema, since } = request.query as SseQuery;
  const filter: FilterFrame = {};
  if (event !== undefined) filter.event = event;
  if (columns !== undefined) filter.columns = typeof columns === 'string' ? [columns] : columns;
  if (schema !== undefined) filter.schema = schema;
  if (where !== undefined) {
    const parsed = parsedJson(where);
    if (parsed === undefined) return BAD_WHERE;
    filter.where = parsed;
  }
  const frame: SubscribeFrame = { type: 'subscribe', channel };
  if (Object.keys(filter).length > 0) frame.filter = filter;
  return { ok: true, frame: withSince(frame, request, since) };
}

/** An EventSource comes back with the same URL: where it stands by then is said by the header alone. */
export function withSince(
  frame: SubscribeFrame,
  { headers }: FastifyRequest,
  since: string | undefined,
): SubscribeFrame {
  const lastEventId = headers['last-event-id'];
  const from = typeof lastEventId === 'string' && lastEventId !== '' ? lastEventId : since;
  return from === undefined ? frame : { ...frame, since: from };
}

const BAD_WHERE: SseFrame = {
  ok: false,
  refusal: { statusCode: 400, error: 'bad_filter', message: 'where is JSON' },
};

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
