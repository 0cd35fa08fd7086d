// The composition root, its middle: what the loops and the gateway share, built once from one Config.

import { buildPipeline } from './app-pipeline.ts';
import { EphemeralTables } from './channels/ephemeral-tables.ts';
import { WatchCompletion } from './channels/watch-completion.ts';
import type { SecretConfig } from './config/stored-secret.ts';
import { type Database, openPool } from './db/pools.ts';
import { Announcer } from './delivery/announcer.ts';
import type { Pipeline } from './delivery/pipeline.ts';
import { StreamState } from './delivery/stream-status.ts';
import { Hub } from './hub/hub.ts';
import type { Logger } from './lib/logger.ts';
import { createMetrics, type Metrics } from './stats/metrics.ts';

export type AppOptions = {
  readonly config: SecretConfig;
  /** The database, migrated. */
  readonly databaseUrl: string;
  /** The same database under the login that policies run on; may be the same URL. See db/policy-login.ts. */
  readonly policyUrl: string;
  readonly log: Logger;
};

/** What the loops and the gateway share. */
export type Parts = {
  readonly options: AppOptions;
  readonly database: Database;
  /** Over the policy login, for what subscribers wait for. */
  readonly policies: Database;
  /** Over the policy login, for judging rows; apart, so that neither waits for the other. */
  readonly judging: Database;
  /** Over the policy login, for publishing: a policy that takes its time keeps nobody from subscribing. */
  readonly publishing: Database;
  /** Over the policy login, for reading history; apart for the same reason. */
  readonly reading: Database;
  /** Which tables have no history; delivery asks for each run, the catalogue poll and each start look. */
  readonly ephemeralTables: EphemeralTables;
  readonly hub: Hub;
  readonly metrics: Metrics;
  readonly state: StreamState;
  readonly announcer: Announcer;
  readonly pipeline: Pipeline;
  readonly stopping: AbortController;
  readonly settled: Promise<void>;
};

/** Milliseconds of the process's own clock. */
export const MONOTONIC = (): number => performance.now();
/** Bounds that are no settings: nobody has had a reason to change them. */
const DRAINING_WITHIN_MS = 500;
const HARD_BOUND_FACTOR = 8;
/** One call after the other, and one more that looks for what a slow policy did. */
const JUDGING_CONNECTIONS = 2;
const READING_CONNECTIONS = 2;

/** Builds everything but the gateway; nothing runs yet, and nothing is connected. */
export function buildParts(options: AppOptions): Parts {
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
    // What looks expensive reads a few rows of many partitions.
    settings: { jit: 'off' },
    log,
  });
  const policies = openPolicyPool(options, 'rowcast policies', config.policies.poolSize);
  const judging = openPolicyPool(options, 'rowcast judging', JUDGING_CONNECTIONS);
  const publishing = openPolicyPool(options, 'rowcast publishing', config.policies.publishPoolSize);
  const reading = openPolicyPool(options, 'rowcast reading', READING_CONNECTIONS);
  const announcer = new Announcer(hub);
  const settled = Promise.withResolvers<void>();
  const state = new StreamState((report) => {
    if (report.status !== 'stalled') settled.resolve();
    if (report.status === 'streaming') metrics.streamStarts.inc();
    metrics.streamConnected.set(report.status === 'streaming' ? 1 : 0);
    log.info({ status: report.status, reason: report.reason }, 'the stream changed its state');
    announcer.system(report, pipeline.lagBytes);
  });
  const pools = { database, policies, judging, publishing, reading };
  const ephemeralTables = new EphemeralTables(database.pool);
  const shared = {
    options,
    ...pools,
    ephemeralTables,
    hub,
    metrics,
    state,
    announcer,
    stopping,
    settled: settled.promise,
  };
  const pipeline: Pipeline = buildPipeline(shared);
  metrics.beforeScrape(() => {
    metrics.journalPendingBytes.set(pipeline.pendingBytes);
    metrics.confirmedLagBytes.set(pipeline.lagBytes ?? 0);
    metrics.epoch.set(pipeline.epoch ?? 0);
  });
  return { ...shared, pipeline };
}

function openPolicyPool({ config, policyUrl, log }: AppOptions, applicationName: string, max: number): Database {
  return openPool({
    connectionString: policyUrl,
    applicationName,
    max,
    statementTimeoutMs: config.policies.timeoutMs,
    connectTimeoutMs: config.database.connectTimeoutMs,
    // Each statement is planned for one identity and run once: compiling it never pays.
    settings: { jit: 'off' },
    // A policy that asks for the date means that of the database, as in any SELECT.
    unpinned: ['TimeZone'],
    log,
  });
}

/** Waits for tables to be watched completely, until the server stops. */
export function completionOf({ options, database, stopping }: Parts): WatchCompletion {
  return new WatchCompletion({
    pool: database.pool,
    timeoutMs: options.config.replication.watchTimeoutMs,
    signal: stopping.signal,
  });
}
