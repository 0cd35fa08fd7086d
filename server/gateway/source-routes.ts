// Owns `/api/realtime/sources`: the sources of incoming webhooks as admins manage them. The token of a source is shown
// when it is made and when it is rotated, and never again.

import type { FastifyInstance, FastifyReply } from 'fastify';
import { Type } from 'typebox';
import {
  type NewSource,
  NO_SUCH_SOURCE,
  type Source,
  type SourceFields,
  type SourceRefusal,
  type SourceResult,
  type SourceUsage,
  type SourceWithToken,
} from '../webhooks/source.ts';
import { ADMIN_ERRORS, BODY_ERRORS, errorResponses } from './error-responses.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';
import {
  NewSourceSchema,
  SourceChangeSchema,
  SourceSchema,
  SourceWithTokenSchema,
  UsageQuerySchema,
  UsageSchema,
} from './source-schemas.ts';
import { idParams } from './uuid-schema.ts';

/** What the webhooks room does; each rejects when the database cannot be asked. */
export interface Sources {
  list(): Promise<readonly Source[]>;
  get(id: string): Promise<SourceResult>;
  create(fields: NewSource): Promise<SourceResult<SourceWithToken>>;
  update(id: string, fields: SourceFields): Promise<SourceResult>;
  rotate(id: string): Promise<SourceResult<SourceWithToken>>;
  remove(id: string): Promise<SourceResult>;
  usage(id: string, month?: string): Promise<SourceUsage | undefined>;
}

type OfOne = { readonly Params: { readonly id: string } };

const PATH = '/api/realtime/sources';
const about = { tags: ['sources'], security: [{ bearer: [] }] };
const params = idParams('Source UUID');
const ofOne = { ...ADMIN_ERRORS, ...errorResponses(404) };

/** `scope` lets admins in alone. */
export function registerSourceRoutes(scope: FastifyInstance, sources: Sources): void {
  const list = {
    ...about,
    summary: 'List all sources',
    description: 'All sources of incoming webhooks, the oldest first.',
    response: { 200: Type.Array(SourceSchema), ...ADMIN_ERRORS },
  };
  scope.get(PATH, { schema: list }, () => sources.list());

  const create = {
    ...about,
    summary: 'Create a source',
    description:
      'Makes a slug to post to, a token to read with, and the channel `in:<id>`. The token is shown in this answer alone.',
    body: NewSourceSchema,
    response: { 201: SourceWithTokenSchema, ...ADMIN_ERRORS, ...BODY_ERRORS },
  };
  scope.post<{ Body: NewSource }>(PATH, { schema: create }, async ({ body }, reply) =>
    send(reply, await sources.create(body), 201),
  );

  const get = {
    ...{ ...about, summary: 'Get a source', description: 'One source of incoming webhooks.', params },
    response: { 200: SourceSchema, ...ofOne },
  };
  scope.get<OfOne>(`${PATH}/:id`, { schema: get }, async (request, reply) =>
    send(reply, await sources.get(request.params.id)),
  );
  registerUsage(scope, sources);
  registerChanges(scope, sources);
}

function registerUsage(scope: FastifyInstance, sources: Sources): void {
  const schema = {
    ...about,
    summary: 'How many webhooks a source took in a month',
    description:
      'Only what was answered with 200 counts. Months are those of UTC; what a past month says does not change.',
    params,
    querystring: UsageQuerySchema,
    response: { 200: UsageSchema, ...ofOne },
  };
  type Asked = OfOne & { readonly Querystring: { readonly month?: string } };
  scope.get<Asked>(`${PATH}/:id/usage`, { schema }, async ({ params: { id }, query }, reply) => {
    const usage = await sources.usage(id, query.month);
    return usage ?? sendRefusal(reply, refusalOf(NO_SUCH_SOURCE));
  });
}

function registerChanges(scope: FastifyInstance, sources: Sources): void {
  const update = {
    ...about,
    summary: 'Change a source',
    description: 'Only the fields that are given change. `enabled: false` ends its streams.',
    params,
    body: SourceChangeSchema,
    response: { 200: SourceSchema, ...ofOne, ...BODY_ERRORS },
  };
  scope.patch<OfOne & { Body: SourceFields }>(`${PATH}/:id`, { schema: update }, async (request, reply) =>
    send(reply, await sources.update(request.params.id, request.body)),
  );

  const rotate = {
    ...about,
    summary: 'Give a source a new token',
    description: 'The old one opens nothing from then on, and the streams that it opened end. The slug stays.',
    params,
    response: { 200: SourceWithTokenSchema, ...ofOne, ...BODY_ERRORS },
  };
  scope.post<OfOne>(`${PATH}/:id/rotate`, { schema: rotate }, async (request, reply) =>
    send(reply, await sources.rotate(request.params.id)),
  );

  const remove = {
    ...about,
    summary: 'Delete a source',
    description: 'Ends its streams, its channel and its figures. What it received stays in the history.',
    params,
    response: {
      200: Type.Object({ message: Type.String({ examples: ['Source deleted'] }) }),
      ...ofOne,
      ...BODY_ERRORS,
    },
  };
  scope.delete<OfOne>(`${PATH}/:id`, { schema: remove }, async (request, reply) => {
    const removed = await sources.remove(request.params.id);
    return removed.ok ? { message: 'Source deleted' } : sendRefusal(reply, refusalOf(removed.refusal));
  });
}

function send(reply: FastifyReply, result: SourceResult<Source>, status = 200): FastifyReply {
  return result.ok ? reply.code(status).send(result.source) : sendRefusal(reply, refusalOf(result.refusal));
}

function refusalOf({ code, message }: SourceRefusal): HttpRefusal {
  return { statusCode: code === 'not_found' ? 404 : 400, error: code, message };
}
