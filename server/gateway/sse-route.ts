// Owns `GET /realtime/sse`: any channel as a stream of server-sent events, under the same policies, filters and limits as
// on the WebSocket. What is wrong with a subscription is answered before a stream begins.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Identity } from '../auth/identity.ts';
import { limitAddress } from './client-address.ts';
import { upgradeCredentials } from './credentials.ts';
import {
  type EntranceDeps,
  identify,
  judgePage,
  placeOfAddress,
  placeOfUser,
  RESTARTING,
  type Refused,
  refuse,
} from './entrance.ts';
import { errorResponses } from './error-responses.ts';
import { type EventStreams, holdUntilEnd, type Wanted } from './event-streams.ts';
import { AUTH_REQUIRED } from './http-auth.ts';
import { readSseQuery, SSE_QUERY } from './sse-query.ts';

export type SseRouteDeps = EntranceDeps & {
  readonly streams: EventStreams;
  /** The identity of a client without a token, where that is allowed. */
  readonly anonymous: Identity;
};

/** How the document tells a response that does not end. */
export const STREAM_RESPONSE = {
  description: 'The stream is open',
  content: { 'text/event-stream': { schema: { type: 'string' } } },
};

const SCHEMA = {
  tags: ['realtime'],
  summary: 'Follow a channel as server-sent events',
  description:
    'Each `data:` is a JSON frame as on the WebSocket, `id:` its position: an EventSource that comes back resumes there. ' +
    'At its end an event `close` says `{"code", "reason"}` as a close of the WebSocket would.',
  security: [{ bearer: [] }, {}],
  querystring: SSE_QUERY,
  response: { 200: STREAM_RESPONSE, ...errorResponses(400, 401, 403, 429, 503) },
};

export function registerSseRoute(app: FastifyInstance, deps: SseRouteDeps): void {
  app.get('/realtime/sse', { schema: SCHEMA, exposeHeadRoute: false }, async (request, reply) => {
    const stream = { request, reply, dialect: 'sse' } as const;
    const admission = await admit(request, reply, deps);
    if (admission.ok) await deps.streams.open(stream, admission.wanted);
    else deps.streams.refuse(stream, admission.refusal);
    return reply;
  });
}

type Admission = { readonly ok: true; readonly wanted: Wanted } | Refused;

async function admit(request: FastifyRequest, reply: FastifyReply, deps: SseRouteDeps): Promise<Admission> {
  if (deps.isDraining()) return refuse(RESTARTING);
  const credentials = upgradeCredentials(request);
  const page = judgePage(request, credentials.kind === 'none', deps.settings);
  if (page !== undefined) return refuse(page);
  const address = limitAddress(request);
  const ofAddress = placeOfAddress(address, deps);
  if (!ofAddress.ok) return ofAddress;
  holdUntilEnd(reply, ofAddress.place);
  const who = await identify(credentials, address, deps);
  if (!who.ok) return who;
  const isAnonymous = who.identity === undefined;
  if (isAnonymous && !deps.settings.auth.allowAnon) return refuse(AUTH_REQUIRED);
  const identity = who.identity ?? deps.anonymous;
  const ofUser = placeOfUser(identity, deps);
  if (!ofUser.ok) return ofUser;
  holdUntilEnd(reply, ofUser.place);
  const asked = readSseQuery(request);
  return asked.ok ? { ok: true, wanted: { identity, isAnonymous, address, frame: asked.frame } } : asked;
}
