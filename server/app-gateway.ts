// The composition root, its front: the gateway with its policies, its authentication and its health, and the
// review of live subscriptions.

import { completionOf, hasReached, MONOTONIC, type Parts } from './app-parts.ts';
import { countersOf } from './app-pipeline.ts';
import { type BuiltReplays, buildReplays } from './app-replays.ts';
import { AddressLimit } from './auth/address-limit.ts';
import { type Authenticator, createAuthenticator } from './auth/authenticator.ts';
import { createTokenVerifier } from './auth/verify-token.ts';
import { ChannelList } from './channels/channel-list.ts';
import { ChannelStore } from './channels/channel-store.ts';
import { TableWatching } from './channels/table-watching.ts';
import { classifyDatabaseError, mayPass } from './db/sqlstate.ts';
import { EphemeralFanOut } from './delivery/ephemeral.ts';
import { systemFrame } from './delivery/stream-status.ts';
import type { WebhookRoutesDeps } from './gateway/admin-routes.ts';
import { createGateway, type Gateway } from './gateway/gateway.ts';
import type { HealthReport } from './gateway/health-report.ts';
import type { History } from './gateway/history-routes.ts';
import { formatInstant } from './gateway/instant.ts';
import { SubscribedChannels } from './gateway/subscribed-channels.ts';
import { SubscriptionReview } from './gateway/subscription-review.ts';
import { must } from './lib/assert.ts';
import { HistoryReader } from './messages/history-reader.ts';
import { removeBefore } from './messages/history-removal.ts';
import { changeHistorySettings, readHistorySettings } from './messages/history-settings.ts';
import { readStatistics } from './messages/history-statistics.ts';
import { Publisher } from './messages/publisher.ts';
import { ChannelJudge } from './policies/channel-judge.ts';
import { ChannelPolicy } from './policies/channel-policy.ts';
import { JudgeCall } from './policies/judge-call.ts';
import { PermissionCheck } from './policies/permission-check.ts';
import { PermissionStore } from './policies/permission-store.ts';
import { listPolicies } from './policies/policy-listing.ts';
import { TableRulesStore } from './policies/table-rules-store.ts';
import { WatchedTableReports } from './policies/watched-table-reports.ts';
import type { ServerFrame } from './protocol/server-frame.ts';
import { DeliveryStore } from './webhooks/delivery-store.ts';
import { EndpointStore } from './webhooks/endpoint-store.ts';
import { SourceIntake } from './webhooks/source-intake.ts';
import { SourceList } from './webhooks/source-list.ts';
import { SourceTokens } from './webhooks/source-tokens.ts';

export type Front = {
  /** Does not listen yet. */
  readonly gateway: Gateway;
  /** Ends subscriptions that are no longer allowed; runs under supervision. */
  readonly review: SubscriptionReview;
  readonly replays: BuiltReplays;
  /** Ends streams whose token opens nothing any more; looks under supervision. */
  readonly sourceTokens: SourceTokens;
};

/** Builds what clients meet. */
export function buildFront(parts: Parts): Front {
  const { options, database, policies, hub, metrics, pipeline } = parts;
  const { config, log } = options;
  const access = {
    channels: new ChannelStore(database.pool, (position) => hasReached(parts, position)),
    judge: new ChannelJudge(policies.pool, config.auth.roles),
    rules: new TableRulesStore(database.pool, config.auth.roles),
    imageJudge: new JudgeCall(policies.pool),
  };
  const check = new PermissionCheck({ ...access, store: new PermissionStore(database.pool) });
  const watching = new TableWatching(database.pool);
  const subscribePolicy = buildPolicy(parts, access);
  const subscribedChannels = new SubscribedChannels();
  const review = new SubscriptionReview({
    hub,
    subscribePolicy,
    subscribedChannels,
    readFingerprint: () => access.channels.fingerprint(),
    intervalMs: config.policies.reviewMs,
    metrics,
    log,
    now: MONOTONIC,
  });
  const replays = buildReplays(parts);
  const sourceTokens = new SourceTokens(database.pool);
  const gateway = createGateway({
    config,
    log,
    hub,
    metrics,
    subscribePolicy,
    subscribedChannels,
    reviewsBegun: () => review.begun,
    resumption: replays,
    permissions: {
      list: () => listPolicies(database.pool),
      check: (action, question) => check.check(action, question),
    },
    publisher: buildPublisher(parts),
    history: buildHistory(parts),
    channels: new ChannelList(database.kysely),
    tables: { watching, reports: new WatchedTableReports({ watching, rules: access.rules, roles: config.auth.roles }) },
    sources: new SourceList(database.kysely, sourceTokens),
    sourceTokens,
    sourceIntake: new SourceIntake(parts.receiving.pool),
    webhooks: buildWebhookStores(parts),
    authenticator: buildAuthenticator(parts),
    position: () => must(pipeline.position, 'the delivered position'),
    health: () => health(parts),
    systemNotice: () => systemNotice(parts),
    isPassing: (failure) => mayPass(classifyDatabaseError(failure).kind),
    now: MONOTONIC,
    wallClock: () => Date.now(),
  });
  return { gateway, review, replays, sourceTokens };
}

function buildWebhookStores({ options, database, webhooks }: Parts): WebhookRoutesDeps {
  const { config } = options;
  const findUrlFault = (url: string): string | undefined => {
    const verdict = webhooks.guard.judgeUrl(url);
    return verdict.ok ? undefined : verdict.reason;
  };
  const shared = { database: database.kysely, wake: () => webhooks.wake() };
  return {
    endpoints: new EndpointStore({ ...shared, findUrlFault, roles: config.auth.roles }),
    deliveries: new DeliveryStore({ ...shared, giveUpMs: config.webhooks.giveUpMs }),
    findUrlFault,
  };
}

function buildPublisher({ options, database, publishing, hub, metrics }: Parts): Publisher {
  const { config, log } = options;
  const ephemeral = new EphemeralFanOut({ hub, counters: countersOf(metrics) });
  return new Publisher({
    pool: publishing.pool,
    adminPool: database.pool,
    roles: config.auth.roles,
    maxPayloadBytes: config.socket.maxMessageBytes,
    fanOut: (message) => ephemeral.fanOut(message),
    timestamp: () => formatInstant(Date.now()),
    now: MONOTONIC,
    log,
  });
}

function buildHistory({ options, database, reading, stopping }: Parts): History {
  const { pool } = database;
  const { config, log } = options;
  const reader = new HistoryReader({ pool, policyPool: reading.pool, roles: config.auth.roles, log });
  return {
    read: (query, identity) => reader.read(query, identity),
    stats: (query) => readStatistics(pool, query),
    removeBefore: (bound, signal) => removeBefore(pool, bound, AbortSignal.any([signal, stopping.signal])),
    settings: () => readHistorySettings(pool),
    changeSettings: (settings) => changeHistorySettings(pool, settings),
  };
}

type Access = {
  readonly channels: ChannelStore;
  readonly judge: ChannelJudge;
  readonly rules: TableRulesStore;
  readonly imageJudge: JudgeCall;
};

function buildPolicy(parts: Parts, { channels, judge, rules, imageJudge }: Access): ChannelPolicy {
  const { metrics } = parts;
  const completion = completionOf(parts);
  return new ChannelPolicy({
    channels: {
      facts: (asked) => channels.facts(asked),
      waitUntilComplete: (oid) => completion.wait(oid),
    },
    judge,
    rules,
    whereJudge: imageJudge,
    isReady: () => mayGoLive(parts),
    onDecision: (outcome) => metrics.subscribeDecisions.inc({ outcome }),
    now: MONOTONIC,
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

// Also a server that led before has a position; but nothing comes to a standby any more.
function mayGoLive({ pipeline, state, shedding, stopping }: Parts): boolean {
  if (pipeline.position === undefined || stopping.signal.aborted) return false;
  return state.report.status !== 'standby' && !shedding.isOn;
}

/** What whoever comes in is told, unless all is well. */
function systemNotice({ state, pipeline }: Parts): ServerFrame | undefined {
  if (state.report.status === 'streaming') return undefined;
  return systemFrame(state.report, pipeline.lagBytes);
}

function health({ state, stopping }: Parts): HealthReport {
  const { status, reason } = state.report;
  if (stopping.signal.aborted)
    return { ready: false, reasons: [{ code: 'stopping', message: 'the server is stopping' }] };
  if (status === 'streaming') return { ready: true, reasons: [] };
  return { ready: false, reasons: [{ code: status, message: 'changes do not flow', detail: reason ?? undefined }] };
}
