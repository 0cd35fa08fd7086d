// The composition root: builds every room's objects from one Config and a database, runs the loops under
// supervision, and stops all of it in reverse. Nothing here decides; rooms get what they need as options.

import { hostname } from 'node:os';
import { Client } from 'pg';
import { AddressLimit } from './auth/address-limit.ts';
import { type Authenticator, createAuthenticator } from './auth/authenticator.ts';
import { createTokenVerifier } from './auth/verify-token.ts';
import { TypeResolver } from './changes/type-resolver.ts';
import { CataloguePoll } from './channels/catalogue-poll.ts';
import { ChannelStore } from './channels/channel-store.ts';
import { WatchCompletion } from './channels/watch-completion.ts';
import type { SecretConfig } from './config/stored-secret.ts';
import { clientConfig, type Database, openPool, pinned } from './db/pools.ts';
import { readPrimaryKey } from './db/primary-key.ts';
import { classifyDatabaseError } from './db/sqlstate.ts';
import { readTypes } from './db/type-rows.ts';
import { Announcer } from './delivery/announcer.ts';
import type { DeliveryCounters } from './delivery/delivery-counters.ts';
import { Pipeline } from './delivery/pipeline.ts';
import { type StatusReport, StreamState } from './delivery/stream-status.ts';
import { createGateway, type Gateway } from './gateway/gateway.ts';
import type { HealthReport } from './gateway/health-report.ts';
import { Hub } from './hub/hub.ts';
import { must } from './lib/assert.ts';
import { pause } from './lib/backoff.ts';
import type { Logger } from './lib/logger.ts';
import { type Service, supervise } from './lib/service.ts';
import { ChannelPolicy } from './policies/channel-policy.ts';
import { TableAccess } from './policies/table-access.ts';
import { TableGrantsStore } from './policies/table-grants-store.ts';
import { type OpenSource, openChangeSource } from './replication/change-source.ts';
import { SlotWatch } from './replication/slot-watch.ts';
import { createMetrics, type Metrics } from './stats/metrics.ts';

export type AppOptions = {
  readonly config: SecretConfig;
  /** The database, migrated. */
  readonly databaseUrl: string;
  readonly log: Logger;
};

export type App = {
  /** Where it listens. */
  readonly host: string;
  readonly port: number;
  /** Resolves once it is known whether changes flow here: the stream is open, or another server leads. */
  readonly settled: Promise<void>;
  /** Where the stream stands. */
  readonly status: () => StatusReport;
  /** Resolves when the server was stopped; rejects when it cannot go on, with what an operator has to do. */
  readonly finished: Promise<void>;
  /** Stops in reverse: unready, sockets told, what is under way journaled, the slot released. Again: nothing. */
  stop(): Promise<void>;
};

/** What the loops and the gateway share. */
type Parts = {
  readonly options: AppOptions;
  readonly database: Database;
  readonly hub: Hub;
  readonly metrics: Metrics;
  readonly state: StreamState;
  readonly announcer: Announcer;
  readonly pipeline: Pipeline;
  readonly stopping: AbortController;
  readonly settled: Promise<void>;
};

const MONOTONIC = (): number => performance.now();
/** Less idle WAL than this is our own bookkeeping. */
const IDLE_OTHER_BYTES = 16 * 1024;
/** How long a predecessor's walsender may hold the slot before the start is tried anew. */
const SLOT_RELEASE_MS = 5_000;
/** Bounds that are no settings: nobody has had a reason to change them. */
const STANDBY_POLL_MS = 500;
const SLOT_WATCH_MS = 5_000;
const DRAINING_WITHIN_MS = 500;
const HARD_BOUND_FACTOR = 8;
/** Sockets are looked after so many times before one can reach its bound. */
const RUNS_PER_BOUND = 8;
const GRANTS_MAX_AGE_MS = 1_000;
const VISIBLE_WITHIN_MS = 5_000;
const SILENCE_WITHOUT_TIMEOUT_MS = 60_000;

/** Builds and starts everything. Rejects if it cannot listen; nothing is left running then. */
export async function startApp(options: AppOptions): Promise<App> {
  const parts = buildParts(options);
  const gateway = buildGateway(parts);
  try {
    const { host, port } = await gateway.listen();
    const finished = superviseAll(parts);
    let stopped: Promise<void> | undefined;
    const stop = (): Promise<void> => (stopped ??= stopAll(parts, gateway, finished));
    const status = (): StatusReport => parts.state.report;
    return { host, port, settled: parts.settled, status, finished, stop };
  } catch (error) {
    await gateway.close();
    await closeParts(parts);
    throw error;
  }
}

function buildParts(options: AppOptions): Parts {
  const { config, databaseUrl, log } = options;
  const { database: db, socket } = config;
  const stopping = new AbortController();
  const metrics = createMetrics();
  const hub = new Hub({
    maxQueuedBytes: socket.maxQueuedBytes,
    tooSlowAfterMs: socket.maxQueuedMs,
    drainingWithinMs: DRAINING_WITHIN_MS,
    hardBoundFactor: HARD_BOUND_FACTOR,
    now: MONOTONIC,
  });
  const database = openPool({
    connectionString: databaseUrl,
    applicationName: 'rowcast',
    max: db.poolSize,
    statementTimeoutMs: db.statementTimeoutMs,
    connectTimeoutMs: db.connectTimeoutMs,
    log,
  });
  const announcer = new Announcer(hub);
  const settled = Promise.withResolvers<void>();
  const state = new StreamState((report) => {
    if (report.status !== 'stalled') settled.resolve();
    if (report.status === 'streaming') metrics.streamStarts.inc();
    metrics.streamConnected.set(report.status === 'streaming' ? 1 : 0);
    log.info({ status: report.status, reason: report.reason }, 'the stream changed its state');
    announcer.system(report, pipeline.lagBytes);
  });
  const shared = { options, database, hub, metrics, state, announcer, stopping, settled: settled.promise };
  const pipeline: Pipeline = buildPipeline(shared);
  metrics.beforeScrape(() => {
    metrics.journalPendingBytes.set(pipeline.pendingBytes);
    metrics.confirmedLagBytes.set(pipeline.lagBytes ?? 0);
    metrics.epoch.set(pipeline.epoch ?? 0);
  });
  return { ...shared, pipeline };
}

function buildPipeline(parts: Omit<Parts, 'pipeline'>): Pipeline {
  const { options, database, hub, metrics, state, announcer } = parts;
  const { config, log } = options;
  const { delivery, replication, socket } = config;
  const grants = new TableGrantsStore(database.pool, config.auth.roles);
  return new Pipeline({
    openSource: (onIdle, signal) => openSource(parts, onIdle, signal),
    hub,
    types: new TypeResolver((oids) => readTypes(database.pool, oids)),
    readPrimaryKey: (oid) => readPrimaryKey(database.pool, oid),
    access: new TableAccess({
      store: grants,
      maxAgeMs: GRANTS_MAX_AGE_MS,
      visibleWithinMs: VISIBLE_WITHIN_MS,
      now: MONOTONIC,
      pause: (ms) => pause(ms, parts.stopping.signal),
    }),
    counters: countersOf(metrics),
    isDataError: (error) => classifyDatabaseError(error).kind === 'data_exception',
    maxPayloadBytes: socket.maxMessageBytes,
    maxAheadBytes: delivery.maxAheadBytes,
    drainWaitMs: delivery.drainWaitMs,
    maxRunBytes: socket.maxQueuedBytes / RUNS_PER_BOUND,
    maxBatchEntries: delivery.journalRows,
    lingerMs: delivery.journalDelayMs,
    idleRaiseBytes: replication.idleRaiseBytes,
    idleRaiseIntervalMs: replication.idleRaiseIntervalMs,
    idleOtherBytes: IDLE_OTHER_BYTES,
    standbyPollMs: STANDBY_POLL_MS,
    state,
    announcer,
    log,
  });
}

function countersOf(metrics: Metrics): DeliveryCounters {
  return {
    delivered: (changes, counts) => {
      metrics.changes.inc(changes);
      metrics.messages.inc(counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0));
      metrics.deliveries.inc(counts.reduce((sum, count) => sum + count, 0));
    },
    undecided: () => metrics.policyErrors.inc(),
    journaled: (changes) => metrics.journaledChanges.inc(changes),
  };
}

async function openSource(
  { options, database }: Omit<Parts, 'pipeline'>,
  onIdle: Parameters<typeof openChangeSource>[1],
  signal: AbortSignal,
): Promise<OpenSource | undefined> {
  const { config, databaseUrl, log } = options;
  const { replication, delivery } = config;
  const { rows } = await database.pool.query<{ ms: number }>(
    `select setting::int as ms from pg_catalog.pg_settings where name = 'wal_sender_timeout'`,
  );
  const timeoutMs = must(rows[0], 'wal_sender_timeout').ms;
  const session = {
    connectionString: databaseUrl,
    statementTimeoutMs: 0,
    connectTimeoutMs: config.database.connectTimeoutMs,
  };
  return openChangeSource(
    {
      connection: clientConfig({ ...session, applicationName: 'rowcast stream', idleInTransactionTimeoutMs: 0 }),
      openSession: () =>
        openSession(
          clientConfig({ ...session, applicationName: 'rowcast journal', idleInTransactionTimeoutMs: 1_000 }),
        ),
      slot: replication.slot,
      publicationPrefix: replication.publication,
      holder: `${hostname()}:${process.pid}`,
      maxQueuedBytes: delivery.batchBytes,
      statusIntervalMs:
        timeoutMs === 0 ? replication.statusIntervalMs : Math.min(replication.statusIntervalMs, timeoutMs / 3),
      silenceLimitMs: timeoutMs === 0 ? SILENCE_WITHOUT_TIMEOUT_MS : timeoutMs * 1.5,
      keepaliveRunLimit: replication.keepaliveRunLimit,
      slotReleaseMs: SLOT_RELEASE_MS,
      isObjectInUse: (error) => classifyDatabaseError(error).kind === 'object_in_use',
      log,
    },
    onIdle,
    signal,
  );
}

async function openSession(settings: ReturnType<typeof clientConfig>): Promise<Client> {
  const client = new Client(settings);
  client.on('error', () => undefined); // whoever uses the session hears of its end as well
  await client.connect();
  try {
    await pinned(client);
  } catch (error) {
    await client.end();
    throw error;
  }
  return client;
}

function buildGateway(parts: Parts): Gateway {
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

function completionOf({ options, database, stopping }: Parts): WatchCompletion {
  return new WatchCompletion({
    pool: database.pool,
    timeoutMs: options.config.replication.watchTimeoutMs,
    signal: stopping.signal,
  });
}

function health({ state, stopping }: Parts): HealthReport {
  const { status, reason } = state.report;
  if (stopping.signal.aborted)
    return { ready: false, reasons: [{ code: 'stopping', message: 'the server is stopping' }] };
  if (status === 'streaming') return { ready: true, reasons: [] };
  return { ready: false, reasons: [{ code: status, message: 'changes do not flow', detail: reason ?? undefined }] };
}

async function superviseAll(parts: Parts): Promise<void> {
  const { options, database, pipeline, metrics, stopping } = parts;
  const { log, config } = options;
  const { reconnectInitialMs, reconnectMaxMs } = config.replication;
  const backoff = { initialMs: reconnectInitialMs, maxMs: reconnectMaxMs };
  const poll = new CataloguePoll({
    pool: database.pool,
    completion: completionOf(parts),
    intervalMs: config.database.cataloguePollMs,
    log,
  });
  const watch = new SlotWatch({
    pool: database.pool,
    slot: config.replication.slot,
    maxRetainedBytes: config.replication.maxRetainedWalBytes,
    intervalMs: SLOT_WATCH_MS,
    onRetained: (bytes) => metrics.retainedWalBytes.set(bytes),
    log,
  });
  const services: readonly Service[] = [pipeline, poll, watch];
  const running = services.map((service) => supervise(service, stopping.signal, { log, backoff }));
  try {
    await Promise.all(running);
  } finally {
    stopping.abort();
    await Promise.allSettled(running);
  }
}

// Sockets first, so that clients go elsewhere; then the loops, which journal what they have; the pool last.
async function stopAll(parts: Parts, gateway: Gateway, finished: Promise<void>): Promise<void> {
  await gateway.drain();
  parts.stopping.abort();
  await finished.catch(() => undefined);
  await gateway.close();
  await closeParts(parts);
}

async function closeParts({ database, metrics, stopping }: Parts): Promise<void> {
  stopping.abort();
  await database.close();
  metrics.close();
}
