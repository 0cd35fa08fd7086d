// Owns the refusal of texts that no text of Postgres can hold: U+0000, and half a surrogate pair, which would be
// replaced silently. The path and the query of every route are looked at; the body where the route's scope says so,
// because payloads of messages have an answer of their own.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isHoldable } from '../auth/claims-check.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';

/** More levels than any body of the API has. */
const MAX_DEPTH = 64;

const UNHOLDABLE: HttpRefusal = {
  statusCode: 400,
  error: 'bad_request',
  message: `texts hold no U+0000 and no half surrogate pair, and objects and lists no more than ${MAX_DEPTH} levels`,
};

/** On all routes of `app`: path and query. */
export function refuseUnholdablePaths(app: FastifyInstance): void {
  app.addHook('preValidation', async ({ params, query }, reply) => refuse([params, query], reply));
}

/** On all routes of `scope`: the body. */
export function refuseUnholdableBodies(scope: FastifyInstance): void {
  scope.addHook('preValidation', async ({ body }: FastifyRequest, reply) => refuse(body, reply));
}

function refuse(input: unknown, reply: FastifyReply): FastifyReply | undefined {
  return isHoldable(input, MAX_DEPTH) ? undefined : sendRefusal(reply, UNHOLDABLE);
}
