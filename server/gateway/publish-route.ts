// Owns `POST /api/realtime/publish`: one message, or a list of which all or none are published. Access first: the
// body of somebody unknown is not even read.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Identity } from '../auth/identity.ts';
import type { ErrorCode } from '../protocol/error-codes.ts';
import { limitAddress } from './client-address.ts';
import { errorResponses } from './error-responses.ts';
import { knownIdentity, refuseUnknown } from './http-auth.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';
import { keepJsonTexts } from './json-texts.ts';
import {
  findBodyFault,
  messagesOf,
  PublishAnswerSchema,
  type PublishBody,
  PublishBodySchema,
  placeIn,
} from './publish-body.ts';
import type { PublishIntake, PublishOutcome } from './publish-intake.ts';

export type PublishRouteDeps = { readonly authenticator: Authenticator; readonly publishIntake: PublishIntake };

type Refused = Extract<PublishOutcome, { ok: false }>;

/** Changes how `scope` reads bodies: it is to be of this route alone. */
export function registerPublishRoute(scope: FastifyInstance, deps: PublishRouteDeps): void {
  const textOf = keepJsonTexts(scope);
  const schema = {
    tags: ['messages'],
    security: [{ bearer: [] }],
    summary: 'Publish a message, or up to 100 in one transaction',
    description:
      'Policies for INSERT on `realtime.messages` decide who may. The answer comes once the messages are committed; ' +
      'on channels with `persist = false`, once they are handed to all who are subscribed.',
    body: PublishBodySchema,
    response: { 200: PublishAnswerSchema, ...errorResponses(400, 401, 403, 409, 413, 415, 429, 503) },
  };
  scope.post<{ Body: PublishBody }>(
    '/api/realtime/publish',
    { schema, onRequest: refuseUnknown(deps.authenticator), preValidation: refuseBadBody },
    async (request, reply) => {
      const identity = await knownIdentity(request, deps.authenticator);
      const messages = messagesOf(request.body, textOf(request));
      const origin = { via: 'rest' as const, identity, address: limitAddress(request), connectionId: null };
      const outcome = await deps.publishIntake.take(origin, messages);
      if (!outcome.ok) return sendRefusal(reply, refusalOf(outcome, messages.length, identity, deps.publishIntake));
      const answers = outcome.published.map(({ messageId }) => ({ messageId }));
      return reply.send(Array.isArray(request.body) ? answers : answers[0]);
    },
  );
}

// Before the schema's own turn, which cannot say what is wrong with one of two kinds of body.
async function refuseBadBody({ body }: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
  const message = findBodyFault(body);
  return message === undefined ? undefined : sendRefusal(reply, { statusCode: 400, error: 'bad_request', message });
}

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  bad_frame: 400,
  bad_name: 400,
  reserved_name: 400,
  wildcard_not_supported: 400,
  publish_denied: 403,
  id_reused: 409,
  payload_too_large: 413,
  rate_limited: 429,
  unavailable: 503,
};

const UNAVAILABLE_RETRY_MS = 1_000;

function refusalOf(
  { refusal, index, retryAfterMs }: Refused,
  count: number,
  { isAdmin }: Identity,
  { perSecond }: PublishIntake,
): HttpRefusal {
  const { code, detail } = refusal;
  const place = index === null || count === 1 ? '' : placeIn(count, index);
  const reason = isAdmin && detail !== undefined ? `: ${detail}` : '';
  const error = code === 'bad_frame' ? 'bad_request' : code;
  const message = `${place}${refusal.message}${reason}`;
  const waitMs = code === 'unavailable' ? UNAVAILABLE_RETRY_MS : retryAfterMs;
  return { statusCode: STATUS[code] ?? 500, error, message, retryAfterMs: waitMs, limit: perSecond };
}
