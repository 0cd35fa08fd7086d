// Owns the one shape of HTTP errors, `{error, message, statusCode}`, with a stable code in `error`, and the
// way from any failure to it. What went wrong inside is logged, never printed.

import type { FastifyError, FastifyReply } from 'fastify';
import { Type } from 'typebox';

export const HttpErrorSchema = Type.Object({
  error: Type.String({ description: 'Stable code, for machines' }),
  message: Type.String({ description: 'For people' }),
  statusCode: Type.Integer(),
});

export type HttpRefusal = {
  readonly statusCode: number;
  readonly error: string;
  readonly message: string;
  /** Set for 429 and 503 where the time is known; a 503 may always be tried again in a second. */
  readonly retryAfterMs?: number | undefined;
  /** For 429: how many there may be of what was limited. */
  readonly limit?: number | undefined;
};

/** Answers with the refusal. */
export function sendRefusal(
  reply: FastifyReply,
  { statusCode, error, message, limit, ...refusal }: HttpRefusal,
): FastifyReply {
  const retryAfterMs = refusal.retryAfterMs ?? (statusCode === 503 ? 1_000 : undefined);
  if (statusCode === 401) reply.header('www-authenticate', 'Bearer');
  if (retryAfterMs !== undefined) {
    const seconds = String(Math.max(1, Math.ceil(retryAfterMs / 1000)));
    reply.header('retry-after', seconds);
    if (statusCode === 429) reply.headers({ 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': seconds });
    if (statusCode === 429 && limit !== undefined) reply.header('x-ratelimit-limit', String(limit));
  }
  return reply.code(statusCode).send({ error, message, statusCode });
}

const CODE_OF_STATUS: Readonly<Record<number, string>> = {
  400: 'bad_request',
  404: 'not_found',
  405: 'method_not_allowed',
  408: 'timeout',
  413: 'payload_too_large',
  414: 'uri_too_long',
  415: 'unsupported_media_type',
  431: 'headers_too_large',
  503: 'unavailable',
};

/** What a client is told of a failure of Fastify's own or of a handler; 500 says nothing of the cause. */
export function refusalOfError(failure: FastifyError): HttpRefusal {
  const statusCode = failure.statusCode ?? 500;
  const error = CODE_OF_STATUS[statusCode];
  if (error === undefined) return { statusCode: 500, error: 'internal', message: 'Internal error' };
  return { statusCode, error, message: failure.message };
}
