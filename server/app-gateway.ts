// The composition root, its front: the gateway with its policies, its authentication and its health.

import { completionOf, MONOTONIC, type Parts } from './app-parts.ts';
import { AddressLimit } from './auth/address-limit.ts';
import { type Authenticator, createAuthenticator } from './auth/authenticator.ts';
import { createTokenVerifier } from './auth/verify-token.ts';
import { ChannelStore } from './channels/channel-store.ts';
import { createGateway, type Gateway } from './gateway/gateway.ts';
import type { HealthReport } from './gateway/health-report.ts';
import { must } from './lib/assert.ts';
import { ChannelPolicy } from './policies/channel-policy.ts';
import { TableGrantsStore } from './policies/table-grants-store.ts';

/** Builds the gateway; it does not listen yet. */
export function buildGateway(parts: Parts): Gateway {
  const { options, database, hub, metrics, pipeline, stopping } = parts;
  const { config, log } = options;
  const channels = new ChannelStore(database.pool);
  const completion = completionOf(parts);
  const subscribePolicy = new ChannelPolicy({
    facts: {
      deciding: (name) => channels.deciding(name),
      watched: (table) => channels.watched(table),
      waitUntilComplete: (oid) => completion.wait(oid),
    },
    grants: new TableGrantsStore(database.pool, config.auth.roles),
    isReady: () => pipeline.position !== undefined && !stopping.signal.aborted,
  });
  return createGateway({
    config,
    log,
    hub,
    metrics,
    subscribePolicy,
    authenticator: buildAuthenticator(parts),
    position: () => must(pipeline.position, 'the delivered position'),
    health: () => health(parts),
    now: MONOTONIC,
    wallClock: () => Date.now(),
  });
}

function buildAuthenticator({ options, metrics }: Parts): Authenticator {
  const { auth, limits } = options.config;
  const perMinute = { perWindow: auth.failuresPerMinute, windowMs: 60_000, now: MONOTONIC };
  return createAuthenticator({
    verifier: createTokenVerifier({ settings: auth, wallClock: () => Date.now() }),
    failedTokens: limits.rateLimit ? new AddressLimit(perMinute) : undefined,
    log: options.log,
    onRefusal: (reason) => metrics.authFailures.inc({ reason }),
  });
}

function health({ state, stopping }: Parts): HealthReport {
  const { status, reason } = state.report;
  if (stopping.signal.aborted)
    return { ready: false, reasons: [{ code: 'stopping', message: 'the server is stopping' }] };
  if (status === 'streaming') return { ready: true, reasons: [] };
  return { ready: false, reasons: [{ code: status, message: 'changes do not flow', detail: reason ?? undefined }] };
}
