// Owns the body of `POST /api/realtime/publish`: one message or a list of them, and the exact texts of their
// payloads. What is wrong is said of the message in which it is.

import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { must } from '../lib/assert.ts';
import { itemTexts, memberTexts } from '../protocol/json-slices.ts';
import type { GivenMessage } from './publish-intake.ts';
import { uuidSchema } from './uuid-schema.ts';

const MAX_MESSAGES = 100;

const MessageSchema = Type.Object(
  {
    channel: Type.String({ description: 'A concrete name', examples: ['order:123'] }),
    event: Type.String({ minLength: 1, maxLength: 200, examples: ['order.updated'] }),
    payload: Type.Unknown({ description: 'Any JSON', examples: [{ orderId: '123', status: 'shipped' }] }),
    id: Type.Optional(
      uuidSchema('Chosen by the publisher: the same one again within 24 h is the same message. Not as anon.'),
    ),
  },
  { additionalProperties: false },
);
export const PublishBodySchema = Type.Union([
  MessageSchema,
  Type.Array(MessageSchema, { minItems: 1, maxItems: MAX_MESSAGES, description: 'All of them are published, or none' }),
]);
export type PublishBody = Static<typeof PublishBodySchema>;

const PublishedSchema = Type.Object({
  messageId: Type.String({ format: 'uuid', examples: ['660e8400-e29b-41d4-a716-446655440000'] }),
});
export const PublishAnswerSchema = Type.Union([PublishedSchema, Type.Array(PublishedSchema)]);

const validator = Compile(MessageSchema);

/** What is wrong with a body, in words; undefined if it fits the schema. */
export function findBodyFault(body: unknown): string | undefined {
  if (!Array.isArray(body)) return findMessageFault(body);
  if (body.length === 0 || body.length > MAX_MESSAGES) return `a list has 1 to ${MAX_MESSAGES} messages`;
  for (const [index, message] of body.entries()) {
    const fault = findMessageFault(message);
    if (fault !== undefined) return `${placeIn(body.length, index)}${fault}`;
  }
  return undefined;
}

/** The messages of a body that fits the schema, with the payloads as they stand in its text. */
export function messagesOf(body: PublishBody, text: string): readonly GivenMessage[] {
  const messages = Array.isArray(body) ? body : [body];
  const texts = Array.isArray(body) ? itemTexts(text) : [text];
  return messages.map(({ channel, event, id }, index) => {
    const payload = must(memberTexts(texts[index] as string).get('payload'), 'the text of a payload');
    return { channel, event, payload, id };
  });
}

/** In front of what is said of one message of a list. */
export function placeIn(count: number, index: number): string {
  return `message ${index + 1} of ${count}: `;
}

function findMessageFault(message: unknown): string | undefined {
  for (const { keyword, instancePath, message: said } of validator.Errors(message)) {
    const path = instancePath.slice(1).replaceAll('/', '.').slice(0, 100);
    // A closed object gives each surplus field the schema `false`, which reports the keyword `boolean`.
    if (keyword === 'boolean') return `unknown field ${JSON.stringify(path.toWellFormed())}`;
    return path === '' ? `a message ${said}` : `${path} ${said}`;
  }
  return undefined;
}
