// Owns the gateway as a whole: the HTTP server, the sessions on it, their common timer, and the order of
// stopping. Everything it needs comes in as one object from the composition root.

import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import { anonymousIdentity } from '../auth/make-identity.ts';
import { TicketBox } from '../auth/ticket-box.ts';
import type { Hub } from '../hub/hub.ts';
import { pause } from '../lib/backoff.ts';
import type { Logger } from '../lib/logger.ts';
import type { Position } from '../lib/position.ts';
import type { SubscribePolicy } from '../policies/subscribe-decision.ts';
import type { Metrics } from '../stats/metrics.ts';
import { GATEWAY_BOUNDS, type GatewayBounds, type GatewayConfig, type GatewaySettings } from './gateway-settings.ts';
import type { HealthReport } from './health-report.ts';
import { createHttpServer } from './http-server.ts';
import { registerOperationsRoutes } from './operations-routes.ts';
import { type Permissions, registerPermissionRoutes } from './permission-routes.ts';
import { registerRealtimeRoute } from './realtime-route.ts';
import { limitRequests } from './request-limit.ts';
import type { Session } from './session.ts';
import { handleTextFrame, type SessionFramesDeps } from './session-frames.ts';
import type { SubscribedChannels } from './subscribed-channels.ts';
import { registerTicketRoute } from './ticket-route.ts';
import { UnauthenticatedSockets } from './unauthenticated-sockets.ts';

export type GatewayDeps = {
  readonly config: GatewayConfig;
  /** Only tests change them. */
  readonly bounds?: Partial<GatewayBounds> | undefined;
  readonly log: Logger;
  readonly hub: Hub;
  readonly authenticator: Authenticator;
  readonly subscribePolicy: SubscribePolicy;
  /** Shared with the review of live subscriptions. */
  readonly subscribedChannels: SubscribedChannels;
  /** How many reviews of live subscriptions have begun. */
  readonly reviewsBegun: () => number;
  readonly permissions: Permissions;
  /** The position up to which everything has been handed to the hub; read in one turn with `hub.subscribe`. */
  readonly position: () => Position;
  readonly health: () => HealthReport;
  readonly metrics: Metrics;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** Milliseconds of Unix time. */
  readonly wallClock: () => number;
};

export interface Gateway {
  /** Starts listening. Rejects with EADDRINUSE and the like. */
  listen(): Promise<{ readonly host: string; readonly port: number }>;
  /** Unready from here on; closes all sockets as restarting, spread over a while. Resolves when they are closed. */
  drain(): Promise<void>;
  /** Cuts what is still open, lets HTTP requests in flight finish, and stops listening. */
  close(): Promise<void>;
}

export function createGateway(deps: GatewayDeps): Gateway {
  const { http, auth, socket, limits, shutdown } = deps.config;
  const bounds = { ...GATEWAY_BOUNDS, ...deps.bounds };
  const settings: GatewaySettings = { http, auth, socket, limits, shutdown, bounds };
  const abort = new AbortController();
  let isDraining = false;
  const wired: Wired = { ...deps, settings, sessions: new Set(), isDraining: () => isDraining };
  const app = createHttpServer(wired);
  registerRoutes(app, wired);
  let slowReaders: NodeJS.Timeout | undefined;
  return {
    listen: async () => {
      await app.listen({ host: http.host, port: http.port });
      // Replies pile up at a reader that stalls while nothing is delivered, too.
      slowReaders = setInterval(() => deps.hub.checkBehind(), bounds.slowReaderCheckMs);
      const { address, port } = app.server.address() as AddressInfo;
      return { host: address, port };
    },
    drain: async () => {
      isDraining = true;
      await drainSessions(wired, abort);
    },
    close: async () => {
      isDraining = true;
      abort.abort();
      clearInterval(slowReaders);
      await app.close();
    },
  };
}

type Wired = GatewayDeps & {
  readonly settings: GatewaySettings;
  readonly sessions: Set<Session>;
  readonly isDraining: () => boolean;
};

function registerRoutes(app: FastifyInstance, wired: Wired): void {
  const { settings, metrics, now } = wired;
  const { socket, limits } = settings;
  const unauthenticated = new UnauthenticatedSockets({
    perAddress: socket.maxUnauthenticatedPerAddress,
    total: socket.maxUnauthenticated,
  });
  const tickets = createTicketBox(wired);
  const frames = framesDeps(wired);
  const session = {
    ...wired,
    anonymous: frames.anonymous,
    handleFrame: (session: Session, text: string) => handleTextFrame(session, text, frames),
  };
  // In a plugin of their own: the plugins above must have loaded before a route is added.
  app.register(async (scope) => {
    registerRealtimeRoute(scope, { ...wired, tickets, unauthenticated, session, metrics });
    registerOperationsRoutes(scope, { ...wired, unauthenticated, trustsProxy: settings.http.trustProxy.length > 0 });
  });
  app.register(async (scope) => {
    if (limits.rateLimit) limitRequests(scope, { perMinute: limits.requestsPerMinute, now });
    registerTicketRoute(scope, { ...wired, tickets });
    registerPermissionRoutes(scope, { ...wired, roles: settings.auth });
  });
}

function framesDeps(wired: Wired): SessionFramesDeps {
  const { auth, socket } = wired.settings;
  return {
    ...wired,
    allowAnon: auth.allowAnon,
    anonymous: anonymousIdentity(),
    maxSubscriptions: socket.maxSubscriptions,
    maxUnauthenticatedFrameBytes: socket.maxUnauthenticatedFrameBytes,
  };
}

function createTicketBox({ settings, wallClock }: Wired): TicketBox {
  const { tickets, ticketsPerIdentity } = settings.bounds;
  return new TicketBox({
    lifetimeMs: settings.auth.ticketMs,
    maxTickets: tickets,
    maxTicketsPerIdentity: ticketsPerIdentity,
    wallClock,
  });
}

async function drainSessions({ sessions, settings }: Wired, abort: AbortController): Promise<void> {
  const { spreadMs, drainMs } = settings.shutdown;
  const deadline = setTimeout(() => abort.abort(), spreadMs + drainMs);
  await Promise.all([...sessions].map((session) => session.drain(Math.random() * spreadMs, abort.signal)));
  // Their peers answer the close frame, or are cut after the grace that each socket has.
  while (sessions.size > 0 && !abort.signal.aborted) await pause(10, abort.signal);
  clearTimeout(deadline);
  // Ends what still waits for its time, e.g. for a frame that has finished long since.
  abort.abort();
}
