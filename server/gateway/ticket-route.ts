// Owns `POST /api/realtime/ticket`: a one-use ticket for an upgrade, so that no token stands in a URL.

import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { Authenticator } from '../auth/authenticator.ts';
import type { TicketBox } from '../auth/ticket-box.ts';
import { BODY_ERRORS, errorResponses } from './error-responses.ts';
import { AUTH_REQUIRED, identifyRequest } from './http-auth.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';
import { formatInstant } from './instant.ts';

export type TicketRouteDeps = { readonly authenticator: Authenticator; readonly tickets: TicketBox };

const TicketSchema = Type.Object({
  ticket: Type.String({ description: 'For `?ticket=` of one upgrade' }),
  expiresAt: Type.String({ format: 'date-time' }),
});

const TOO_MANY: HttpRefusal = {
  statusCode: 429,
  error: 'rate_limited',
  message: 'Too many open tickets',
  retryAfterMs: 30_000,
};

export function registerTicketRoute(app: FastifyInstance, { authenticator, tickets }: TicketRouteDeps): void {
  const schema = {
    tags: ['realtime'],
    summary: 'Take a ticket for one WebSocket upgrade',
    description: 'Good for one use within 30 seconds, so that no token stands in a URL. For everybody with a token.',
    security: [{ bearer: [] }],
    response: { 200: TicketSchema, ...errorResponses(400, 401, 429, 503), ...BODY_ERRORS },
  };
  app.post('/api/realtime/ticket', { schema }, async (request, reply) => {
    const who = await identifyRequest(request, authenticator);
    if (who.kind === 'refused') return sendRefusal(reply, who.refusal);
    if (who.kind === 'anonymous') return sendRefusal(reply, AUTH_REQUIRED);
    const issued = tickets.issue(who.identity);
    if (issued === undefined) return sendRefusal(reply, TOO_MANY);
    return reply.send({ ticket: issued.ticket, expiresAt: formatInstant(issued.expiresAtMs) });
  });
}
