// Owns `/api/realtime/channels`: what admins configure, as the base API prints it. What a changed row means for
// live subscriptions is the review's.

import type { FastifyInstance, FastifyReply } from 'fastify';
import { Type } from 'typebox';
import type { Channel, ChannelFields, ChannelRefusal, ChannelResult, NewChannel } from '../channels/channel.ts';
import { ChannelChangeSchema, ChannelSchema, NewChannelSchema } from './channel-schemas.ts';
import { ADMIN_ERRORS, BODY_ERRORS, errorResponses } from './error-responses.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';
import { idParams } from './uuid-schema.ts';

/** What the channels room does; each rejects when the database cannot be asked. */
export interface Channels {
  list(): Promise<readonly Channel[]>;
  get(id: string): Promise<ChannelResult>;
  create(fields: NewChannel): Promise<ChannelResult>;
  update(id: string, fields: ChannelFields): Promise<ChannelResult>;
  remove(id: string): Promise<ChannelResult>;
}

type OfOne = { readonly Params: { readonly id: string } };

const PATH = '/api/realtime/channels';
const about = { tags: ['channels'], security: [{ bearer: [] }] };
const params = idParams('Channel UUID');
const found = { 200: ChannelSchema, ...ADMIN_ERRORS, ...errorResponses(404) };
const MessageSchema = Type.Object({ message: Type.String({ examples: ['Channel deleted'] }) });

/** What is wrong with the text of a webhook's URL; undefined if nothing is. */
type FindUrlFault = (url: string) => string | undefined;

/** `scope` lets admins in alone. */
export function registerChannelRoutes(scope: FastifyInstance, channels: Channels, findUrlFault: FindUrlFault): void {
  const list = {
    ...about,
    summary: 'List all channels',
    description: 'All configured channels, the oldest first.',
    response: { 200: Type.Array(ChannelSchema), ...ADMIN_ERRORS },
  };
  scope.get(PATH, { schema: list }, () => channels.list());

  const create = {
    ...about,
    summary: 'Create a channel',
    description:
      'Who may subscribe to it and publish to it is decided by policies; a channel row alone lets nobody in.',
    body: NewChannelSchema,
    response: { 201: ChannelSchema, ...ADMIN_ERRORS, ...BODY_ERRORS, ...errorResponses(409) },
  };
  scope.post<{ Body: NewChannel }>(PATH, { schema: create }, async ({ body }, reply) => {
    const fault = findFault(body, findUrlFault);
    return fault === undefined ? send(reply, await channels.create(body), 201) : sendRefusal(reply, fault);
  });

  const get = { ...about, summary: 'Get a channel', description: 'One configured channel.', params, response: found };
  scope.get<OfOne>(`${PATH}/:id`, { schema: get }, async (request, reply) =>
    send(reply, await channels.get(request.params.id)),
  );
  registerChanges(scope, channels, findUrlFault);
}

function registerChanges(scope: FastifyInstance, channels: Channels, findUrlFault: FindUrlFault): void {
  const update = {
    ...about,
    summary: 'Update a channel',
    description: 'Only the fields that are given change. Live subscriptions follow within a second.',
    params,
    body: ChannelChangeSchema,
    response: { ...found, ...BODY_ERRORS, ...errorResponses(409) },
  };
  scope.put<OfOne & { Body: ChannelFields }>(`${PATH}/:id`, { schema: update }, async (request, reply) => {
    const fault = findFault(request.body, findUrlFault);
    if (fault !== undefined) return sendRefusal(reply, fault);
    return send(reply, await channels.update(request.params.id, request.body));
  });

  const remove = {
    ...about,
    summary: 'Delete a channel',
    description: 'Ends its subscriptions. History stays, with `channelId` null.',
    params,
    response: { ...found, ...BODY_ERRORS, 200: MessageSchema },
  };
  scope.delete<OfOne>(`${PATH}/:id`, { schema: remove }, async (request, reply) => {
    const removed = await channels.remove(request.params.id);
    return removed.ok ? { message: 'Channel deleted' } : sendRefusal(reply, refusalOf(removed.refusal));
  });
}

function findFault({ webhookUrls }: ChannelFields, findUrlFault: FindUrlFault): HttpRefusal | undefined {
  for (const [place, url] of (webhookUrls ?? []).entries()) {
    const fault = findUrlFault(url);
    if (fault !== undefined) return refusalOf({ code: 'bad_request', message: `webhookUrls[${place}] ${fault}` });
  }
  return undefined;
}

function send(reply: FastifyReply, result: ChannelResult, status = 200): FastifyReply {
  return result.ok ? reply.code(status).send(result.channel) : sendRefusal(reply, refusalOf(result.refusal));
}

const STATUS = { bad_name: 400, bad_request: 400, not_found: 404, conflict: 409 } as const;

function refusalOf({ code, message }: ChannelRefusal): HttpRefusal {
  return { statusCode: STATUS[code], error: code, message };
}
