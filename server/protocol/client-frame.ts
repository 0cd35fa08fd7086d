// Owns the frames a client may send: one schema each, from which types and validation come, and the
// decoding of a text into a frame or a refusal. Unknown fields are errors: a misspelt filter must not give
// an unfiltered feed. Pure, and runs in a browser.

import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Refusal } from './error-codes.ts';

const Ref = Type.Optional(Type.Union([Type.String({ maxLength: 64 }), Type.Number()]));
const closed = { additionalProperties: false };

export const ROW_EVENTS = ['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'] as const;
export type RowEvent = (typeof ROW_EVENTS)[number];

const EventName = Type.String({ minLength: 1, maxLength: 200 });
export const FilterSchema = Type.Object(
  {
    event: Type.Optional(Type.Union([EventName, Type.Array(EventName, { minItems: 1, maxItems: 64 })])),
    schema: Type.Optional(Type.String({ minLength: 1, maxLength: 63 })),
    where: Type.Optional(Type.Unknown()),
    columns: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 63 }), { minItems: 1, maxItems: 1600 })),
  },
  closed,
);
export type FilterFrame = Static<typeof FilterSchema>;

const schemas = {
  auth: Type.Object({ type: Type.Literal('auth'), token: Type.String({ maxLength: 65_536 }), ref: Ref }, closed),
  subscribe: Type.Object(
    {
      type: Type.Literal('subscribe'),
      channel: Type.String(),
      filter: Type.Optional(FilterSchema),
      since: Type.Optional(Type.String({ maxLength: 64 })),
      snapshot: Type.Optional(Type.Boolean()),
      echo: Type.Optional(Type.Boolean()),
      ref: Ref,
    },
    closed,
  ),
  unsubscribe: Type.Object(
    {
      type: Type.Literal('unsubscribe'),
      channel: Type.Optional(Type.String()),
      subscriptionId: Type.Optional(Type.String({ maxLength: 64 })),
      ref: Ref,
    },
    closed,
  ),
  publish: Type.Object(
    {
      type: Type.Literal('publish'),
      channel: Type.String(),
      event: EventName,
      payload: Type.Unknown(),
      id: Type.Optional(Type.String({ maxLength: 64 })),
      ref: Ref,
    },
    closed,
  ),
  ping: Type.Object({ type: Type.Literal('ping'), ref: Ref }, closed),
};

export const CLIENT_FRAME_SCHEMAS = schemas;
export type AuthFrame = Static<typeof schemas.auth>;
export type SubscribeFrame = Static<typeof schemas.subscribe>;
export type UnsubscribeFrame = Static<typeof schemas.unsubscribe>;
export type PublishFrame = Static<typeof schemas.publish>;
export type PingFrame = Static<typeof schemas.ping>;
export type ClientFrame = AuthFrame | SubscribeFrame | UnsubscribeFrame | PublishFrame | PingFrame;
export type Ref = string | number;

export type DecodedFrame =
  | { readonly ok: true; readonly frame: ClientFrame }
  | { readonly ok: false; readonly refusal: Refusal; readonly ref?: Ref | undefined };

const validators = {
  auth: Compile(schemas.auth),
  subscribe: Compile(schemas.subscribe),
  unsubscribe: Compile(schemas.unsubscribe),
  publish: Compile(schemas.publish),
  ping: Compile(schemas.ping),
};

/** Decodes one text frame. Never throws; the refusal names the first field at fault and repeats a usable `ref`. */
export function decodeClientFrame(text: string): DecodedFrame {
  const value = parseObject(text);
  if (value === undefined) return refuse('a frame is one JSON object');
  const ref = usableRef(value.ref);
  const type = value.type;
  if (typeof type !== 'string' || !Object.hasOwn(validators, type)) {
    return refuse(`type must be one of ${Object.keys(validators).join(', ')}`, ref);
  }
  const validator = validators[type as keyof typeof validators];
  if (!validator.Check(value)) return refuse(firstFault(validator, value), ref);
  return { ok: true, frame: value as ClientFrame };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

function usableRef(value: unknown): Ref | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && value.length <= 64 ? value : undefined;
}

type Validator = { Errors(value: unknown): Iterable<{ keyword: string; instancePath: string; message: string }> };

function firstFault(validator: Validator, value: Record<string, unknown>): string {
  for (const error of validator.Errors(value)) {
    const path = error.instancePath.slice(1).replaceAll('/', '.');
    // A closed object gives each surplus field the schema `false`, which reports the keyword `boolean`.
    if (error.keyword === 'boolean') return `unknown field ${path}`;
    return path === '' ? error.message : `${path} ${error.message}`;
  }
  return 'the frame does not fit its schema';
}

function refuse(message: string, ref?: Ref): DecodedFrame {
  return { ok: false, refusal: { code: 'bad_frame', message }, ref };
}
