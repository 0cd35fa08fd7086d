// Owns the routes that read history: `GET /api/realtime/messages`, for everybody with a token, each as far as policies let
// see; and for admins statistics, deletion, and how long history is kept.

import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { type Static, Type } from 'typebox';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Identity } from '../auth/identity.ts';
import type { HistoryBound } from '../messages/history-bound.ts';
import type { HistoryQuery, HistoryStats, StatsQuery } from '../messages/history-query.ts';
import type { HistoryAnswer } from '../messages/history-reader.ts';
import type { HistoryRemoval } from '../messages/history-removal.ts';
import type { HistorySettings } from '../messages/history-settings.ts';
import { ADMIN_ERRORS, BODY_ERRORS, errorResponses } from './error-responses.ts';
import { readHistoryQuery, readRemovalBound, readStatsQuery } from './history-parameters.ts';
import {
  ConfigSchema,
  HistoryQuerySchema,
  MessageSchema,
  RemovalQuerySchema,
  RemovalSchema,
  StatsQuerySchema,
  StatsSchema,
} from './history-schemas.ts';
import { knownIdentity, refuseUnknown } from './http-auth.ts';
import { sendRefusal } from './http-refusal.ts';

/** What the messages room does; each rejects when the database cannot be asked. */
export interface History {
  read(query: HistoryQuery, identity: Identity): Promise<HistoryAnswer>;
  stats(query: StatsQuery): Promise<HistoryStats>;
  /** Ends early when `signal` is aborted or the server stops. */
  removeBefore(bound: HistoryBound, signal: AbortSignal): Promise<HistoryRemoval>;
  settings(): Promise<HistorySettings>;
  changeSettings(settings: HistorySettings): Promise<HistorySettings>;
}

export type HistoryRoutesDeps = { readonly authenticator: Authenticator; readonly history: History };

const PATH = '/api/realtime/messages';
const CONFIG_PATH = '/api/realtime/config';
const JSON_TYPE = 'application/json; charset=utf-8';
const security = [{ bearer: [] }];
const about = { tags: ['messages'], security };

export function registerHistoryRoute(app: FastifyInstance, { authenticator, history }: HistoryRoutesDeps): void {
  const schema = {
    ...about,
    summary: 'List messages',
    description:
      'Admins see published messages and row changes; others the messages that SELECT policies on `realtime.messages` ' +
      'show them. In the order of positions, which is the order of commits.',
    querystring: HistoryQuerySchema,
    response: { 200: Type.Array(MessageSchema), ...errorResponses(400, 401, 403, 429, 503) },
  };
  app.get<{ Querystring: Static<typeof HistoryQuerySchema> }>(
    PATH,
    { schema, onRequest: refuseUnknown(authenticator) },
    async (request, reply) => {
      const identity = await knownIdentity(request, authenticator);
      const read = readHistoryQuery(request.query);
      if (!read.ok) return sendRefusal(reply, read.refusal);
      return sendHistory(reply, await history.read(read.value, identity));
    },
  );
}

function sendHistory(reply: FastifyReply, answer: HistoryAnswer): FastifyReply {
  switch (answer.kind) {
    case 'json':
      return reply.type(JSON_TYPE).send(answer.json);
    case 'parts':
      return reply.type(JSON_TYPE).send(Readable.from(answer.parts));
    case 'forbidden':
      return sendRefusal(reply, { statusCode: 403, error: 'forbidden', message: answer.message });
  }
}

/** `scope` lets admins in alone. */
export function registerHistoryAdminRoutes(scope: FastifyInstance, history: History): void {
  const stats = {
    ...about,
    summary: 'Message statistics',
    description: 'Counts what the list of messages holds in the same window of time, to the message.',
    querystring: StatsQuerySchema,
    response: { 200: StatsSchema, ...ADMIN_ERRORS },
  };
  scope.get<{ Querystring: StatsQuery }>(`${PATH}/stats`, { schema: stats }, async ({ query }, reply) => {
    const read = readStatsQuery(query);
    return read.ok ? history.stats(read.value) : sendRefusal(reply, read.refusal);
  });
  registerRemoval(scope, history);

  const config = {
    ...{ tags: ['config'], security },
    description: 'The global setting; channels may say a shorter time.',
    response: { 200: ConfigSchema, ...ADMIN_ERRORS },
  };
  const get = { ...config, summary: 'Read how long history is kept' };
  scope.get(CONFIG_PATH, { schema: get }, () => history.settings());
  const change = {
    ...config,
    summary: 'Change how long history is kept',
    body: ConfigSchema,
    response: { ...config.response, ...BODY_ERRORS },
  };
  scope.patch<{ Body: HistorySettings }>(CONFIG_PATH, { schema: change }, ({ body }) => history.changeSettings(body));
}

function registerRemoval(scope: FastifyInstance, history: History): void {
  const schema = {
    ...about,
    summary: 'Delete messages',
    description:
      'Deletes published messages and row changes, in small steps that block nobody. What is there already goes; the ' +
      'request ends when it is gone. Cut off, it has deleted a part, and can be repeated.',
    querystring: RemovalQuerySchema,
    response: { 200: RemovalSchema, ...ADMIN_ERRORS, ...BODY_ERRORS },
  };
  scope.delete<{ Querystring: { readonly before: string } }>(PATH, { schema }, async ({ query }, reply) => {
    const read = readRemovalBound(query.before);
    if (!read.ok) return sendRefusal(reply, read.refusal);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const { deleted, isComplete } = await history.removeBefore(read.value, gone.signal);
    if (isComplete) return reply.send({ deleted });
    const message = `Not all could be deleted now, ${deleted} were; ask again`;
    return sendRefusal(reply, { statusCode: 503, error: 'unavailable', message, retryAfterMs: 5_000 });
  });
}
