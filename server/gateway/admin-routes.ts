// Owns the list of what only admins may do over REST; the routes have a file each.

import type { FastifyInstance } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import { forAdminsOnly } from './admin-scope.ts';
import { type Channels, registerChannelRoutes } from './channel-routes.ts';
import { type ConnectionRoutesDeps, registerConnectionRoutes } from './connection-routes.ts';
import { type History, registerHistoryAdminRoutes } from './history-routes.ts';
import { type PermissionRoutesDeps, registerPermissionRoutes } from './permission-routes.ts';
import { registerTableRoutes, type TableRoutesDeps } from './table-routes.ts';

export type AdminRoutesDeps = ConnectionRoutesDeps &
  PermissionRoutesDeps & {
    readonly authenticator: Authenticator;
    readonly channels: Channels;
    readonly tables: TableRoutesDeps;
    readonly history: History;
  };

/** In a scope of their own within `app`. */
export function registerAdminRoutes(app: FastifyInstance, deps: AdminRoutesDeps): void {
  app.register(async (scope) => {
    forAdminsOnly(scope, deps.authenticator);
    registerChannelRoutes(scope, deps.channels);
    registerTableRoutes(scope, deps.tables);
    registerHistoryAdminRoutes(scope, deps.history);
    registerConnectionRoutes(scope, deps);
    registerPermissionRoutes(scope, deps);
  });
}
