// Owns the streams beside `/realtime` as a whole: events of any channel, and what the token of a webhook source opens.

import type { FastifyInstance } from 'fastify';
import { AddressLimit } from '../auth/address-limit.ts';
import { EventStreams } from './event-streams.ts';
import { registerSseRoute, type SseRouteDeps } from './sse-route.ts';
import { registerTokenStreams, type TokenStreamsDeps } from './token-streams.ts';

export type StreamRoutesDeps = Omit<SseRouteDeps & TokenStreamsDeps, 'streams' | 'failedTokens'> & {
  readonly now: () => number;
};

const WINDOW_MS = 60_000;

export function registerStreams(app: FastifyInstance, deps: StreamRoutesDeps): void {
  const { settings, now } = deps;
  const streams = new EventStreams(deps);
  const perMinute = { perWindow: settings.auth.failuresPerMinute, windowMs: WINDOW_MS, now };
  const failedTokens = settings.limits.rateLimit ? new AddressLimit(perMinute) : undefined;
  registerSseRoute(app, { ...deps, streams });
  registerTokenStreams(app, { ...deps, streams, failedTokens });
  // What did not end by itself would keep the server from closing.
  app.addHook('preClose', async () => streams.cut());
}
