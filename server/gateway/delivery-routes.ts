// Owns `/api/realtime/webhooks/deliveries`, and what sends again or for a try: deliveries as admins look at them, with
// every attempt; resend, recover, and the test event.

import type { FastifyInstance } from 'fastify';
import { type Static, Type } from 'typebox';
import type { Delivery, DeliveryQuery, DeliveryWithAttempts, RecoveryQuery } from '../webhooks/delivery.ts';
import type { WebhookResult } from '../webhooks/endpoint.ts';
import {
  DeliveryParams,
  DeliveryQuerySchema,
  DeliverySchema,
  DeliveryWithAttemptsSchema,
  RecoveredSchema,
  RecoverySchema,
} from './delivery-schemas.ts';
import { ADMIN_ERRORS, errorResponses } from './error-responses.ts';
import { sendRefusal } from './http-refusal.ts';
import { readTimes } from './time-parameters.ts';
import { ABOUT_WEBHOOKS, ACTION_ERRORS, sendResult, WEBHOOKS_PATH, webhookParams } from './webhook-routes.ts';

/** What the webhooks room does; each rejects when the database cannot be asked. */
export interface Deliveries {
  list(query: DeliveryQuery): Promise<readonly Delivery[]>;
  get(id: string): Promise<WebhookResult<DeliveryWithAttempts>>;
  resend(id: string): Promise<WebhookResult<Delivery>>;
  /** Ends early when `signal` is aborted. */
  recover(endpointId: string, query: RecoveryQuery, signal: AbortSignal): Promise<WebhookResult<number>>;
  test(endpointId: string): Promise<WebhookResult<Delivery>>;
}

type OfOne = { readonly Params: { readonly id: string } };

const PATH = `${WEBHOOKS_PATH}/deliveries`;
const DEFAULT_LIMIT = 100;

/** `scope` lets admins in alone. */
export function registerDeliveryRoutes(scope: FastifyInstance, deliveries: Deliveries): void {
  const list = {
    ...ABOUT_WEBHOOKS,
    summary: 'List deliveries',
    description:
      'The newest first. They are kept for `ROWCAST_WEBHOOK_KEEP` after they are finished, dead ones four times as long.',
    querystring: DeliveryQuerySchema,
    response: { 200: Type.Array(DeliverySchema), ...ADMIN_ERRORS },
  };
  scope.get<{ Querystring: Static<typeof DeliveryQuerySchema> }>(PATH, { schema: list }, async ({ query }, reply) => {
    const times = readTimes(query);
    if (!times.ok) return sendRefusal(reply, times.refusal);
    return deliveries.list({ ...query, ...times.value, limit: query.limit ?? DEFAULT_LIMIT });
  });

  const get = {
    ...ABOUT_WEBHOOKS,
    summary: 'Get a delivery',
    description:
      'With the body as it is sent, and every attempt: status, time taken, and the first bytes of the answer.',
    params: DeliveryParams,
    response: { 200: DeliveryWithAttemptsSchema, ...ADMIN_ERRORS, ...errorResponses(404) },
  };
  scope.get<OfOne>(`${PATH}/:id`, { schema: get }, async ({ params }, reply) =>
    sendResult(reply, await deliveries.get(params.id)),
  );

  const resend = {
    ...ABOUT_WEBHOOKS,
    summary: 'Send a delivery again',
    description:
      'The same id and the same bytes, whatever became of it before. One of a batch goes into the next batch.',
    params: DeliveryParams,
    response: { 202: DeliverySchema, ...ACTION_ERRORS },
  };
  scope.post<OfOne>(`${PATH}/:id/resend`, { schema: resend }, async ({ params }, reply) =>
    sendResult(reply, await deliveries.resend(params.id), 202),
  );
  registerRecovery(scope, deliveries);
  registerTest(scope, deliveries);
}

function registerRecovery(scope: FastifyInstance, deliveries: Deliveries): void {
  const schema = {
    ...ABOUT_WEBHOOKS,
    summary: 'Send all again since a time',
    description: 'What was given up or cancelled, and with `states` also what was delivered; in the order of messages.',
    params: webhookParams,
    body: RecoverySchema,
    response: { 202: RecoveredSchema, ...ACTION_ERRORS },
  };
  type Asked = OfOne & { readonly Body: Static<typeof RecoverySchema> };
  scope.post<Asked>(`${WEBHOOKS_PATH}/:id/recover`, { schema }, async ({ params, body }, reply) => {
    const times = readTimes(body);
    if (!times.ok) return sendRefusal(reply, times.refusal);
    const gone = new AbortController();
    reply.raw.once('close', () => gone.abort());
    const { channel, event, states = ['dead', 'cancelled'] } = body;
    const query = { channel, event, states, until: times.value.until, since: times.value.since ?? body.since };
    const result = await deliveries.recover(params.id, query, gone.signal);
    return sendResult(reply, result.ok ? { ok: true, value: { recovered: result.value } } : result, 202);
  });
}

function registerTest(scope: FastifyInstance, deliveries: Deliveries): void {
  const schema = {
    ...ABOUT_WEBHOOKS,
    summary: 'Send a test event',
    description:
      'An event `webhook.test`, signed and retried as any other, whatever `events` says. It is in no history and no figure.',
    params: webhookParams,
    response: { 202: DeliverySchema, ...ACTION_ERRORS },
  };
  scope.post<OfOne>(`${WEBHOOKS_PATH}/:id/test`, { schema }, async ({ params }, reply) =>
    sendResult(reply, await deliveries.test(params.id), 202),
  );
}
