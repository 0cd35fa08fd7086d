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
import type { ServerFrame } from '../protocol/server-frame.ts';
import type { Metrics } from '../stats/metrics.ts';
import type { SourceTokens } from '../webhooks/source-tokens.ts';
import { registerAdminRoutes, type WebhookRoutesDeps } from './admin-routes.ts';
import type { Channels } from './channel-routes.ts';
import { ConnectionPlaces } from './connection-places.ts';
import { registerDocsPage } from './docs-page.ts';
import { GATEWAY_BOUNDS, type GatewayBounds, type GatewayConfig, type GatewaySettings } from './gateway-settings.ts';
import type { HealthReport } from './health-report.ts';
import { type History, registerHistoryRoute } from './history-routes.ts';
import { createHttpServer } from './http-server.ts';
import { KeyedRate } from './keyed-rate.ts';
import { OpenConnections } from './open-connections.ts';
import { registerOperationsRoutes } from './operations-routes.ts';
import type { Permissions } from './permission-routes.ts';
import { type MessagePublisher, PublishIntake } from './publish-intake.ts';
import { registerPublishRoute } from './publish-route.ts';
import { registerRealtimeRoute } from './realtime-route.ts';
import { limitRequests } from './request-limit.ts';
import type { Resumption } from './resumption.ts';
import type { Session } from './session.ts';
import { handleTextFrame, type SessionFramesDeps } from './session-frames.ts';
import type { Sources } from './source-routes.ts';
import { registerStreams } from './stream-routes.ts';
import type { SubscribedChannels } from './subscribed-channels.ts';
import type { TableRoutesDeps } from './table-routes.ts';
import { registerTicketRoute } from './ticket-route.ts';
import { UnauthenticatedSockets } from './unauthenticated-sockets.ts';
import { registerWebhookInRoute, type WebhookInDeps, type WebhookIntake } from './webhook-in-route.ts';

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
  /** Brings subscriptions with a past to being live. */
  readonly resumption: Resumption;
  readonly permissions: Permissions;
  readonly publisher: MessagePublisher;
  readonly history: History;
  readonly channels: Channels;
  readonly tables: Omit<TableRoutesDeps, 'roles'>;
  readonly sources: Sources;
  readonly sourceIntake: WebhookIntake;
  readonly webhooks: WebhookRoutesDeps;
  readonly sourceTokens: Pick<SourceTokens, 'find' | 'onSourceEnded'>;
  /** The position up to which everything has been handed to the hub; read in one turn with `hub.subscribe`. */
  readonly position: () => Position;
  readonly health: () => HealthReport;
  /** The `system` frame for whoever comes in while the stream does not flow; undefined while it does. */
  readonly systemNotice: () => ServerFrame | undefined;
  /** Whether what a database call rejected with is a failure that passes: answered 503. */
  readonly isPassing: (failure: unknown) => boolean;
  readonly metrics: Metrics;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** Milliseconds of Unix time. */
  readonly wallClock: () => number;
};

export interface Gateway {
  /** Starts listening. Rejects with EADDRINUSE and the like. */
  listen(): Promise<{ readonly host: string; readonly port: number }>;
  /** Closes all present sockets as restarting, spread over a while, and goes on: their clients find another server. */
  sendAway(): void;
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
    sendAway: () => {
      for (const session of wired.sessions) void session.drain(Math.random() * shutdown.spreadMs, abort.signal);
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
  const { settings, metrics } = wired;
  const { socket } = settings;
  const unauthenticated = new UnauthenticatedSockets({
    perAddress: socket.maxUnauthenticatedPerAddress,
    total: socket.maxUnauthenticated,
  });
  const tickets = createTicketBox(wired);
  const places = createPlaces(settings);
  const publishIntake = createPublishIntake(wired);
  const frames = framesDeps(wired, places, publishIntake);
  const session = {
    ...wired,
    anonymous: frames.anonymous,
    handleFrame: (session: Session, text: string) => handleTextFrame(session, text, frames),
  };
  // In a plugin of their own: the plugins above must have loaded before a route is added.
  app.register(async (scope) => {
    registerRealtimeRoute(scope, { ...wired, tickets, unauthenticated, places, session, metrics });
    registerStreams(scope, { ...frames, ...wired, tickets, session });
    registerDocsPage(scope);
    registerOperationsRoutes(scope, { ...wired, unauthenticated, trustsProxy: settings.http.trustProxy.length > 0 });
  });
  app.register(async (scope) => registerWebhookInRoute(scope, webhookInDeps(wired)));
  app.register(async (scope) => {
    limitRequestsOf(scope, wired);
    registerTicketRoute(scope, { ...wired, tickets });
    scope.register(async (own) => registerPublishRoute(own, { ...wired, publishIntake }));
    registerHistoryRoute(scope, wired);
    registerAdminRoutes(scope, {
      ...wired,
      connections: new OpenConnections(wired.sessions),
      tables: { ...wired.tables, roles: settings.auth.roles },
      roles: settings.auth,
    });
  });
}

function limitRequestsOf(scope: FastifyInstance, { settings: { limits }, ...wired }: Wired): void {
  const { requestsPerMinute: perMinute, requestsPerMinutePerUser: perMinutePerUser } = limits;
  if (limits.rateLimit) limitRequests(scope, { ...wired, perMinute, perMinutePerUser });
}

function webhookInDeps(wired: Wired): WebhookInDeps {
  const { limits, socket } = wired.settings;
  const rates = { perSecondPerSource: limits.webhooksPerSecond, unknownPerMinutePerAddress: limits.requestsPerMinute };
  return { ...wired, maxMessageBytes: socket.maxMessageBytes, rates: limits.rateLimit ? rates : undefined };
}

function createPlaces({ limits }: GatewaySettings): ConnectionPlaces {
  const { connectionsPerAddress: perAddress, connectionsPerUser: perUser } = limits;
  return new ConnectionPlaces(limits.rateLimit ? { perAddress, perUser } : UNLIMITED);
}

const UNLIMITED = { perAddress: Number.POSITIVE_INFINITY, perUser: Number.POSITIVE_INFINITY };

// The burst is twice the rate, as with frames.
function createPublishIntake({ settings: { limits }, publisher, metrics, now }: Wired): PublishIntake {
  const perSecond = limits.publishesPerSecond;
  const rate = limits.rateLimit ? new KeyedRate({ perSecond, burst: perSecond * 2, now }) : undefined;
  return new PublishIntake({ publisher, rate, metrics });
}

function framesDeps(wired: Wired, places: ConnectionPlaces, publishIntake: PublishIntake): SessionFramesDeps {
  const { auth, socket } = wired.settings;
  return {
    ...wired,
    places,
    publishIntake,
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
