// Owns the streams of webhook sources by token: the WebSocket at `/` and `GET /api/events/stream`. Both carry the payloads
// of the source's channel and nothing else; what a client says on the socket is not listened to.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { WebSocket } from 'ws';
import type { SubscribeFrame } from '../protocol/client-frame.ts';
import type { TokenSource } from '../webhooks/source-tokens.ts';
import { errorResponses } from './error-responses.ts';
import { type EventStreams, holdUntilEnd } from './event-streams.ts';
import type { Place } from './held-places.ts';
import { sendRefusal } from './http-refusal.ts';
import { NOT_FOUND } from './http-server.ts';
import type { Session } from './session.ts';
import { openSocketSession, type SocketSessionDeps } from './socket-session.ts';
import { CREDENTIAL_PARAMETERS, withSince } from './sse-query.ts';
import { STREAM_RESPONSE } from './sse-route.ts';
import { askerOf, beginSubscription, planSubscription, type SubscribeDeps } from './subscribe.ts';
import { type AdmittedToken, admitToken, type TokenAdmissionDeps } from './token-admission.ts';

export type TokenStreamsDeps = TokenAdmissionDeps &
  SocketSessionDeps &
  SubscribeDeps & {
    readonly streams: EventStreams;
    readonly sourceTokens: {
      /** Ends with the function that is returned. */
      onSourceEnded(source: TokenSource, onEnded: () => void): () => void;
    };
  };

const QUERY = Type.Object(
  {
    ...CREDENTIAL_PARAMETERS,
    since: Type.Optional(
      Type.String({ maxLength: 64, description: 'The id of the last webhook seen; the header Last-Event-ID wins' }),
    ),
  },
  { additionalProperties: false },
);

const SCHEMA = {
  tags: ['sources'],
  summary: "Follow a source's webhooks as server-sent events",
  description:
    'Each `data:` is `{"type": "webhook", "id", "slug", "receivedAt", "headers", "payload"}`. An EventSource that comes back ' +
    'resumes where it stood. The same, as text frames, comes from a WebSocket at `/?token=`.',
  querystring: QUERY,
  response: { 200: STREAM_RESPONSE, ...errorResponses(400, 401, 403, 429, 503) },
};

export function registerTokenStreams(app: FastifyInstance, deps: TokenStreamsDeps): void {
  registerEvents(app, deps);
  registerSocket(app, deps);
}

function registerEvents(app: FastifyInstance, deps: TokenStreamsDeps): void {
  app.get('/api/events/stream', { schema: SCHEMA, exposeHeadRoute: false }, async (request, reply) => {
    const stream = { request, reply, dialect: 'payload-sse' } as const;
    const admission = await admitToken(request, (place) => holdUntilEnd(reply, place), deps);
    if (!admission.ok) {
      deps.streams.refuse(stream, admission.refusal);
      return reply;
    }
    const { source, identity, address } = admission;
    const frame = frameOf(source, request);
    const session = await deps.streams.open(stream, { identity, isAnonymous: false, address, frame });
    if (session !== undefined) reply.raw.once('close', endWith(source, session, deps));
    return reply;
  });
}

function registerSocket(app: FastifyInstance, deps: TokenStreamsDeps): void {
  const admitted = new WeakMap<FastifyRequest, AdmittedToken>();
  app.route({
    method: 'GET',
    url: '/',
    exposeHeadRoute: false,
    schema: { hide: true },
    websocket: true,
    preValidation: async (request, reply) => {
      if (!request.ws) return sendRefusal(reply, NOT_FOUND);
      const places: Place[] = [];
      const giveBack = (): void => {
        for (const place of places) place();
      };
      request.raw.socket.once('close', giveBack);
      const admission = await admitToken(request, (place) => places.push(place), deps);
      if (admission.ok && !request.raw.socket.destroyed) return void admitted.set(request, admission);
      giveBack();
      if (admission.ok) return reply;
      deps.metrics.refusedUpgrades.inc({ reason: admission.refusal.error });
      return sendRefusal(reply, admission.refusal);
    },
    handler: (webSocket, request) => {
      const admission = admitted.get(request);
      if (admission === undefined) webSocket.terminate();
      else openSession(webSocket, request, admission, deps);
    },
  });
}

function openSession(
  webSocket: WebSocket,
  request: FastifyRequest,
  { source, identity, address }: AdmittedToken,
  deps: TokenStreamsDeps,
): void {
  const ofSocket = {
    address,
    dialect: 'payload' as const,
    endsWithSubscription: true,
    onSettled: () => {},
    handleFrame: async () => {},
  };
  const session = openSocketSession(webSocket, request, ofSocket, deps);
  session.settle(identity, false);
  webSocket.once('close', endWith(source, session, deps));
  void follow(frameOf(source, request), session, deps);
}

// There is nobody to tell why: what may pass closes it as restarting, all else as revoked.
async function follow(frame: SubscribeFrame, session: Session, deps: TokenStreamsDeps): Promise<void> {
  try {
    const plan = await planSubscription(frame, askerOf(session), deps);
    if (!session.isOpen) return;
    if (plan.ok) beginSubscription(frame, plan, session, deps);
    else session.close(plan.refusal.code === 'unavailable' ? 'restarting' : 'tokenExpired');
  } catch (err) {
    deps.session.log.error({ err, connectionId: session.id }, 'the stream of a source could not begin');
    session.close('restarting');
  }
}

/** Closes the session when its token opens nothing any more; the function that is returned stops looking. */
function endWith(source: TokenSource, session: Session, { sourceTokens }: TokenStreamsDeps): () => void {
  return sourceTokens.onSourceEnded(source, () => session.close('tokenExpired'));
}

function frameOf({ channel }: TokenSource, request: FastifyRequest): SubscribeFrame {
  const { since } = request.query as Record<string, unknown>;
  return withSince({ type: 'subscribe', channel }, request, typeof since === 'string' ? since : undefined);
}
