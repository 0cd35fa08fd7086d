// Owns the routes that show who is connected and which channels are subscribed, and that close connections, for
// admins. All of it is of this server alone, and of this moment.

import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { Hub } from '../hub/hub.ts';
import { ADMIN_ERRORS, BODY_ERRORS, errorResponses } from './error-responses.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';
import { instantSchema } from './instant-schema.ts';
import type { OpenConnections } from './open-connections.ts';
import { PAGE_FIELDS, type Page, pageOf } from './page-query.ts';
import { idParams, uuidSchema } from './uuid-schema.ts';

export type ConnectionRoutesDeps = { readonly hub: Hub; readonly connections: OpenConnections };

const security = [{ bearer: [] }];
const closed = { additionalProperties: false };
const count = (description: string) => Type.Integer({ minimum: 0, description });
const userId = Type.String({ description: 'The claim `sub`', examples: ['550e8400-e29b-41d4-a716-446655440000'] });

const ActiveSchema = Type.Object({
  total: count('Of all channels that somebody is subscribed to'),
  channels: Type.Array(
    Type.Object({ name: Type.String({ examples: ['order:123'] }), subscriptions: count('At least 1') }),
  ),
});
const ConnectionSchema = Type.Object({
  id: uuidSchema('Of the connection'),
  userId: Type.Union([userId, Type.Null()]),
  role: Type.String({ examples: ['authenticated'] }),
  address: Type.String({ description: 'The client, as limits count it: IPv6 by its /64', examples: ['192.0.2.7'] }),
  connectedAt: instantSchema,
  subscriptions: count('How many it has'),
  queuedBytes: count('That its socket has not taken yet'),
});
const ConnectionsSchema = Type.Object({
  total: count('Of those asked for'),
  connections: Type.Array(ConnectionSchema),
});
const NO_CONNECTION: HttpRefusal = { statusCode: 404, error: 'not_found', message: 'There is no such connection' };

/** `scope` lets admins in alone. */
export function registerConnectionRoutes(scope: FastifyInstance, { hub, connections }: ConnectionRoutesDeps): void {
  const active = {
    ...{ tags: ['channels'], security, summary: 'List subscribed channels' },
    description: 'Names that somebody is subscribed to on this server; those with the most subscriptions first.',
    querystring: Type.Object(PAGE_FIELDS, closed),
    response: { 200: ActiveSchema, ...ADMIN_ERRORS },
  };
  scope.get<{ Querystring: Page }>('/api/realtime/channels/active', { schema: active }, async ({ query }) => {
    const channels = activeChannels(hub);
    return { total: channels.length, channels: pageOf(channels, query) };
  });

  const list = {
    ...{ tags: ['connections'], security, summary: 'List connections' },
    description: 'Authenticated sockets of this server, the oldest first.',
    querystring: Type.Object({ userId: Type.Optional(userId), ...PAGE_FIELDS }, closed),
    response: { 200: ConnectionsSchema, ...ADMIN_ERRORS },
  };
  type Asked = Page & { readonly userId?: string };
  scope.get<{ Querystring: Asked }>('/api/realtime/connections', { schema: list }, async ({ query }) => {
    const found = connections.list(query.userId);
    return { total: found.length, connections: pageOf(found, query) };
  });
  registerClosing(scope, connections);
}

const UNREVOKED = 'The socket is closed with 4403. The token itself still holds: whoever has it may connect again.';

function registerClosing(scope: FastifyInstance, connections: OpenConnections): void {
  const close = {
    ...{ tags: ['connections'], security, summary: 'Close a connection', description: UNREVOKED },
    params: idParams('Connection UUID'),
    response: { 200: Type.Object({ message: Type.String() }), ...ADMIN_ERRORS, ...BODY_ERRORS, ...errorResponses(404) },
  };
  type OfOne = { Params: { readonly id: string } };
  scope.delete<OfOne>('/api/realtime/connections/:id', { schema: close }, async ({ params }, reply) =>
    connections.close(params.id.toLowerCase()) ? { message: 'Connection closed' } : sendRefusal(reply, NO_CONNECTION),
  );

  const closeUser = {
    ...{ tags: ['connections'], security, summary: 'Close all connections of a user', description: UNREVOKED },
    params: Type.Object({ sub: userId }, closed),
    response: { 200: Type.Object({ closed: count('How many there were') }), ...ADMIN_ERRORS, ...BODY_ERRORS },
  };
  type OfUser = { Params: { readonly sub: string } };
  scope.delete<OfUser>('/api/realtime/users/:sub/connections', { schema: closeUser }, async ({ params }) => ({
    closed: connections.closeOf(params.sub),
  }));
}

function activeChannels(hub: Hub): readonly { readonly name: string; readonly subscriptions: number }[] {
  const channels = [...hub.activeChannels()].map(({ channel, subscriptions }) => ({ name: channel, subscriptions }));
  return channels.sort((a, b) => b.subscriptions - a.subscriptions || (a.name < b.name ? -1 : 1));
}
