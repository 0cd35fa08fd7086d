// Owns `/api/realtime/webhooks`: endpoints of outgoing webhooks as admins manage them. A secret is shown when it is made
// and when it is rotated, and never again. Deliveries are in delivery-routes.ts.

import type { FastifyInstance, FastifyReply } from 'fastify';
import { Type } from 'typebox';
import type {
  Endpoint,
  EndpointFields,
  EndpointWithSecret,
  NewEndpoint,
  WebhookRefusal,
  WebhookResult,
} from '../webhooks/endpoint.ts';
import { ADMIN_ERRORS, BODY_ERRORS, errorResponses } from './error-responses.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';
import { idParams } from './uuid-schema.ts';
import {
  EndpointChangeSchema,
  EndpointSchema,
  EndpointWithSecretSchema,
  NewEndpointSchema,
} from './webhook-schemas.ts';

/** What the webhooks room does; each rejects when the database cannot be asked. */
export interface Endpoints {
  list(): Promise<readonly Endpoint[]>;
  get(id: string): Promise<WebhookResult<Endpoint>>;
  create(fields: NewEndpoint): Promise<WebhookResult<EndpointWithSecret>>;
  update(id: string, fields: EndpointFields): Promise<WebhookResult<Endpoint>>;
  pause(id: string): Promise<WebhookResult<Endpoint>>;
  resume(id: string): Promise<WebhookResult<Endpoint>>;
  rotate(id: string): Promise<WebhookResult<EndpointWithSecret>>;
  remove(id: string): Promise<WebhookResult<Endpoint>>;
}

type OfOne = { readonly Params: { readonly id: string } };

export const WEBHOOKS_PATH = '/api/realtime/webhooks';
export const ABOUT_WEBHOOKS = { tags: ['webhooks'], security: [{ bearer: [] }] };
export const webhookParams = idParams('Webhook UUID');
const ofOne = { ...ADMIN_ERRORS, ...errorResponses(404) };
/** Of what is asked of one and may stand in the way. */
export const ACTION_ERRORS = { ...ofOne, ...BODY_ERRORS, ...errorResponses(409) };

/** `scope` lets admins in alone. */
export function registerWebhookRoutes(scope: FastifyInstance, endpoints: Endpoints): void {
  const list = {
    ...ABOUT_WEBHOOKS,
    summary: 'List all webhooks',
    description: 'All endpoints, those of channels’ `webhookUrls` as well, the oldest first.',
    response: { 200: Type.Array(EndpointSchema), ...ADMIN_ERRORS },
  };
  scope.get(WEBHOOKS_PATH, { schema: list }, () => endpoints.list());

  const create = {
    ...ABOUT_WEBHOOKS,
    summary: 'Create a webhook',
    description: 'Gets every message of matching channels from here on. The secret is shown in this answer alone.',
    body: NewEndpointSchema,
    response: { 201: EndpointWithSecretSchema, ...ADMIN_ERRORS, ...BODY_ERRORS },
  };
  scope.post<{ Body: NewEndpoint }>(WEBHOOKS_PATH, { schema: create }, async ({ body }, reply) =>
    sendResult(reply, await endpoints.create(body), 201),
  );

  const about = {
    ...ABOUT_WEBHOOKS,
    summary: 'Get a webhook',
    description: 'One endpoint, with its state and the reason.',
  };
  const get = { ...about, params: webhookParams, response: { 200: EndpointSchema, ...ofOne } };
  scope.get<OfOne>(`${WEBHOOKS_PATH}/:id`, { schema: get }, async ({ params }, reply) =>
    sendResult(reply, await endpoints.get(params.id)),
  );
  registerChanges(scope, endpoints);
  registerActions(scope, endpoints);
}

function registerChanges(scope: FastifyInstance, endpoints: Endpoints): void {
  const update = {
    ...ABOUT_WEBHOOKS,
    summary: 'Change a webhook',
    description:
      'Only the fields that are given change. What was written for it already keeps its body. `url` and `pattern` of one ' +
      'that a channel made follow from the channel alone.',
    params: webhookParams,
    body: EndpointChangeSchema,
    response: { 200: EndpointSchema, ...ACTION_ERRORS },
  };
  scope.patch<OfOne & { Body: EndpointFields }>(`${WEBHOOKS_PATH}/:id`, { schema: update }, async (request, reply) =>
    sendResult(reply, await endpoints.update(request.params.id, request.body)),
  );

  const remove = {
    ...ABOUT_WEBHOOKS,
    summary: 'Delete a webhook',
    description: 'With its deliveries, sent or not. What it received is counted in the history as before.',
    params: webhookParams,
    response: { 200: Type.Object({ message: Type.String({ examples: ['Webhook deleted'] }) }), ...ACTION_ERRORS },
  };
  scope.delete<OfOne>(`${WEBHOOKS_PATH}/:id`, { schema: remove }, async ({ params }, reply) => {
    const removed = await endpoints.remove(params.id);
    return removed.ok ? { message: 'Webhook deleted' } : sendRefusal(reply, refusalOf(removed.refusal));
  });
}

const ACTIONS = {
  pause: {
    summary: 'Pause a webhook',
    description: 'Messages go on being collected for it; nothing is sent until it is resumed.',
    schema: EndpointSchema,
  },
  resume: {
    summary: 'Resume a webhook',
    description: 'Active again, whatever stopped it. What has waited is sent at once, in order.',
    schema: EndpointSchema,
  },
  rotate: {
    summary: 'Give a webhook a new secret',
    description:
      'Shown in this answer alone. The old one signs as well for 24 hours. Also how to get the secret of one that a channel made.',
    schema: EndpointWithSecretSchema,
  },
} as const;

function registerActions(scope: FastifyInstance, endpoints: Endpoints): void {
  for (const action of ['pause', 'resume', 'rotate'] as const) {
    const { schema: answer, ...words } = ACTIONS[action];
    const schema = { ...ABOUT_WEBHOOKS, ...words, params: webhookParams, response: { 200: answer, ...ACTION_ERRORS } };
    scope.post<OfOne>(`${WEBHOOKS_PATH}/:id/${action}`, { schema }, async ({ params }, reply) =>
      sendResult(reply, await endpoints[action](params.id)),
    );
  }
}

/** Answers with the value, or with why there is none. */
export function sendResult(reply: FastifyReply, result: WebhookResult<unknown>, status = 200): FastifyReply {
  return result.ok ? reply.code(status).send(result.value) : sendRefusal(reply, refusalOf(result.refusal));
}

const STATUS = { bad_request: 400, bad_name: 400, unknown_role: 400, not_found: 404, conflict: 409 } as const;

function refusalOf({ code, message }: WebhookRefusal): HttpRefusal {
  return { statusCode: STATUS[code], error: code, message };
}
