// Owns the routes at the root for those who run the server: liveness, readiness with its reasons, metrics,
// and the OpenAPI document.

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Hub } from '../hub/hub.ts';
import type { Metrics } from '../stats/metrics.ts';
import { isLoopback } from './client-address.ts';
import { errorResponses } from './error-responses.ts';
import type { HealthReason, HealthReport } from './health-report.ts';
import { ADMINS_ONLY, AUTH_REQUIRED, identifyRequest } from './http-auth.ts';
import { sendRefusal } from './http-refusal.ts';
import { completed } from './openapi-document.ts';
import type { UnauthenticatedSockets } from './unauthenticated-sockets.ts';

export type OperationsDeps = {
  readonly authenticator: Authenticator;
  readonly hub: Hub;
  readonly metrics: Metrics;
  readonly unauthenticated: UnauthenticatedSockets;
  readonly health: () => HealthReport;
  readonly isDraining: () => boolean;
  readonly trustsProxy: boolean;
};

const LivezSchema = Type.Object({ live: Type.Literal(true) });
const ReasonSchema = Type.Object({
  code: Type.String(),
  message: Type.String(),
  table: Type.Optional(Type.String({ description: 'Admins only' })),
  detail: Type.Optional(Type.String({ description: 'Admins only' })),
});
const ReadyzSchema = Type.Object({ ready: Type.Boolean(), reasons: Type.Array(ReasonSchema) });

export function registerOperationsRoutes(app: FastifyInstance, deps: OperationsDeps): void {
  const tags = ['operations'];
  const livez = {
    tags,
    summary: 'Whether the process answers',
    description: 'For whoever restarts it. Says nothing of the database.',
    response: { 200: LivezSchema },
  };
  app.get('/livez', { schema: livez }, async () => ({ live: true }));

  const readyz = {
    tags,
    summary: 'Whether traffic may come, and if not, why',
    description: '503 while changes do not flow or the server stops. Details for admins only.',
    security: [{ bearer: [] }, {}],
    response: { 200: ReadyzSchema, 503: ReadyzSchema, ...errorResponses(400, 401, 429) },
  };
  app.get('/readyz', { schema: readyz }, (request, reply) => answerReadiness(request, reply, deps));

  const metrics = {
    tags,
    summary: 'Metrics',
    description: 'In the text format of Prometheus. For admins, and for anybody on this machine.',
    security: [{ bearer: [] }, {}],
    response: {
      200: { description: 'Metrics', content: { 'text/plain': { schema: Type.String() } } },
      ...errorResponses(400, 401, 403, 429, 503),
    },
  };
  app.get('/metrics', { schema: metrics }, (request, reply) => answerMetrics(request, reply, deps));

  const document = {
    tags,
    summary: 'This document',
    description: 'Made from the schemas that validate requests. As a page: `/docs`.',
    response: { 200: Type.Object({}, { additionalProperties: true, description: 'OpenAPI 3.1' }) },
  };
  app.get('/openapi.json', { schema: document }, async () => completed(app.swagger()));
}

async function answerReadiness(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: OperationsDeps,
): Promise<FastifyReply> {
  const who = await identifyRequest(request, deps.authenticator);
  if (who.kind === 'refused') return sendRefusal(reply, who.refusal);
  const { ready, reasons } = reportOf(deps);
  const isAdmin = who.kind === 'known' && who.identity.isAdmin;
  const shown = isAdmin ? reasons : reasons.map(({ code, message }) => ({ code, message }));
  return reply.code(ready ? 200 : 503).send({ ready, reasons: shown });
}

const DRAINING: HealthReason = { code: 'draining', message: 'The server is stopping' };

function reportOf({ health, isDraining }: OperationsDeps): HealthReport {
  const report = health();
  return isDraining() ? { ready: false, reasons: [DRAINING, ...report.reasons] } : report;
}

async function answerMetrics(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: OperationsDeps,
): Promise<FastifyReply> {
  const who = await identifyRequest(request, deps.authenticator);
  if (who.kind === 'refused') return sendRefusal(reply, who.refusal);
  if (who.kind === 'anonymous' && !isLoopback(request, deps.trustsProxy)) return sendRefusal(reply, AUTH_REQUIRED);
  if (who.kind === 'known' && !who.identity.isAdmin) return sendRefusal(reply, ADMINS_ONLY);
  const { hub, metrics, unauthenticated } = deps;
  metrics.connections.set(hub.connectionCount);
  metrics.unauthenticatedSockets.set(unauthenticated.total);
  metrics.subscriptions.set(countSubscriptions(hub));
  return reply.header('content-type', metrics.contentType).send(await metrics.text());
}

function countSubscriptions(hub: Hub): number {
  let count = 0;
  for (const { subscriptions } of hub.activeChannels()) count += subscriptions;
  return count;
}
