// Owns the list of what only admins may do over REST; the routes have a file each.

import type { FastifyInstance } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import { forAdminsOnly } from './admin-scope.ts';
import { type Channels, registerChannelRoutes } from './channel-routes.ts';
import { type ConnectionRoutesDeps, registerConnectionRoutes } from './connection-routes.ts';
import { type Deliveries, registerDeliveryRoutes } from './delivery-routes.ts';
import { type History, registerHistoryAdminRoutes } from './history-routes.ts';
import { type PermissionRoutesDeps, registerPermissionRoutes } from './permission-routes.ts';
import { registerSourceRoutes, type Sources } from './source-routes.ts';
import { registerTableRoutes, type TableRoutesDeps } from './table-routes.ts';
import { type Endpoints, registerWebhookRoutes } from './webhook-routes.ts';

export type WebhookRoutesDeps = {
  readonly endpoints: Endpoints;
  readonly deliveries: Deliveries;
  /** What is wrong with the text of a URL, as the worker would judge it; undefined if nothing is. */
  readonly findUrlFault: (url: string) => string | undefined;
};

export type AdminRoutesDeps = ConnectionRoutesDeps &
  PermissionRoutesDeps & {
    readonly authenticator: Authenticator;
    readonly channels: Channels;
    readonly tables: TableRoutesDeps;
    readonly history: History;
    readonly sources: Sources;
    readonly webhooks: WebhookRoutesDeps;
  };

/** In a scope of their own within `app`. */
export function registerAdminRoutes(app: FastifyInstance, deps: AdminRoutesDeps): void {
  app.register(async (scope) => {
    forAdminsOnly(scope, deps.authenticator);
    registerChannelRoutes(scope, deps.channels, deps.webhooks.findUrlFault);
    registerTableRoutes(scope, deps.tables);
    registerHistoryAdminRoutes(scope, deps.history);
    registerConnectionRoutes(scope, deps);
    registerSourceRoutes(scope, deps.sources);
    registerWebhookRoutes(scope, deps.webhooks.endpoints);
    registerDeliveryRoutes(scope, deps.webhooks.deliveries);
    registerPermissionRoutes(scope, deps);
  });
}
