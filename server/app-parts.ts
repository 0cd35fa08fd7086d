// The composition root, its middle: what the loops and the gateway share, built once from one Config.

import { buildQuarantine } from './app-judge.ts';
import { buildPipeline } from './app-pipeline.ts';
import { buildWebhooks, SENDING_CONNECTIONS, type Webhooks } from './app-webhooks.ts';
import { EphemeralTables } from './channels/ephemeral-tables.ts';
import { WatchCompletion } from './channels/watch-completion.ts';
import type { SecretConfig } from './config/stored-secret.ts';
import { type Database, openPool, type PoolOptions } from './db/pools.ts';
import { Announcer } from './delivery/announcer.ts';
import { EnqueuedSignal } from './delivery/enqueued-signal.ts';
import type { Pipeline } from './delivery/pipeline.ts';
import { Shedding } from './delivery/shedding.ts';
import { StreamProgress } from './delivery/stream-progress.ts';
import { StreamState } from './delivery/stream-status.ts';
import { Hub } from './hub/hub.ts';
import type { Logger } from './lib/logger.ts';
import type { Quarantine } from './policies/quarantine.ts';
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
  /** For incoming webhooks: a sender that floods keeps no one else from the database. */
  readonly receiving: Database;
  /** For sending webhooks. */
  readonly sending: Database;
  /** For who resumes: history over the server's own login, judging over the policy login. */
  readonly replaying: Database;
  readonly replayJudging: Database;
  /** For snapshots, each over its own login: of admins, and of all others. */
  readonly snapshots: Database;
  readonly policySnapshots: Database;
  readonly quarantine: Quarantine;
  /** Which tables have no history; delivery asks for each run, the catalogue poll and each start look. */
  readonly ephemeralTables: EphemeralTables;
  readonly hub: Hub;
  readonly metrics: Metrics;
  readonly state: StreamState;
  readonly progress: StreamProgress;
  /** Whether live work is shed, for the sake of the WAL. */
  readonly shedding: Shedding;
  readonly announcer: Announcer;
  readonly webhooks: Webhooks;
  /** Tells that webhook deliveries wait. */
  readonly enqueued: EnqueuedSignal;
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
const RECEIVING_CONNECTIONS = 4;
const ANSWER_SLACK_MS = 5_000;

/** Builds everything but the gateway; nothing runs yet, and nothing is connected. */
export function buildParts(options: AppOptions): Parts {
  const { config, log } = options;
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
  const database = openOwnPool(options, 'rowcast', db.poolSize);
  const policies = openPolicyPool(options, 'rowcast policies', config.policies.poolSize);
  const judging = openPolicyPool(options, 'rowcast judging', JUDGING_CONNECTIONS);
  const publishing = openPolicyPool(options, 'rowcast publishing', config.policies.publishPoolSize);
  const reading = openPolicyPool(options, 'rowcast reading', READING_CONNECTIONS);
  const receiving = openOwnPool(options, 'rowcast webhooks in', RECEIVING_CONNECTIONS);
  const sending = openOwnPool(options, 'rowcast webhooks out', SENDING_CONNECTIONS);
  const replayJudging = openPolicyPool(options, 'rowcast replay judging', JUDGING_CONNECTIONS);
  const { snapshotPoolSize } = config.replay;
  const policySnapshots = openPolicyPool(options, 'rowcast snapshots', snapshotPoolSize, true);
  const replaying = openOwnPool(options, 'rowcast replays', config.replay.poolSize);
  const snapshots = openOwnPool(options, 'rowcast admin snapshots', snapshotPoolSize, true);
  const announcer = new Announcer(hub);
  const settled = Promise.withResolvers<void>();
  const state = new StreamState((report) => {
    if (report.status === 'streaming' || report.status === 'standby') settled.resolve();
    log.info({ status: report.status, reason: report.reason }, 'the stream changed its state');
    announcer.system(report, pipeline.lagBytes);
  });
  const progress = new StreamProgress();
  const shedding = new Shedding({ state, announcer, position: () => progress.delivered.position });
  const ofReplays = { replaying, replayJudging, snapshots, policySnapshots };
  const pools = { database, policies, judging, publishing, reading, receiving, sending, ...ofReplays };
  const ephemeralTables = new EphemeralTables(database.pool);
  const shared = {
    options,
    ...pools,
    ephemeralTables,
    hub,
    metrics,
    quarantine: buildQuarantine(metrics),
    state,
    progress,
    shedding,
    announcer,
    enqueued: new EnqueuedSignal(),
    webhooks: buildWebhooks({ config, sending, metrics, log }),
    stopping,
    settled: settled.promise,
  };
  shared.enqueued.listen(() => shared.webhooks.wake());
  const pipeline: Pipeline = buildPipeline(shared);
  metrics.beforeScrape(() => {
    metrics.journalPendingBytes.set(pipeline.pendingBytes);
    metrics.confirmedLagBytes.set(pipeline.lagBytes ?? 0);
    metrics.streamConnected.set(pipeline.epoch === null ? 0 : 1);
    metrics.epoch.set(pipeline.epoch ?? 0);
  });
  return { ...shared, pipeline };
}

/** A pool under the server's own login. */
function openOwnPool(options: AppOptions, applicationName: string, max: number, hasDeadlines = false): Database {
  const { statementTimeoutMs } = options.config.database;
  return openLoginPool(
    options,
    { connectionString: options.databaseUrl, applicationName, max, statementTimeoutMs },
    hasDeadlines,
  );
}

/** A pool under the login that policies run on. What a policy asks for the date means that of the database, as in any SELECT. */
function openPolicyPool(options: AppOptions, applicationName: string, max: number, hasDeadlines = false): Database {
  const { timeoutMs: statementTimeoutMs } = options.config.policies;
  const login = { connectionString: options.policyUrl, unpinned: ['TimeZone'] } as const;
  return openLoginPool(options, { ...login, applicationName, max, statementTimeoutMs }, hasDeadlines);
}

/** `hasDeadlines`: whoever uses it ends what takes too long, and needs no watching over answers. */
function openLoginPool({ config, log }: AppOptions, login: Omit<PoolOptions, 'log'>, hasDeadlines: boolean): Database {
  return openPool({
    ...login,
    answerWithinMs: hasDeadlines ? undefined : login.statementTimeoutMs + ANSWER_SLACK_MS,
    connectTimeoutMs: config.database.connectTimeoutMs,
    // Statements read a few rows of many partitions, or are planned for one identity and run once: compiling never pays.
    settings: { jit: 'off' },
    log,
  });
}

/** Waits for tables to be watched completely, until the server stops. */
export function completionOf(parts: Parts): WatchCompletion {
  const { options, database, stopping } = parts;
  return new WatchCompletion({
    pool: database.pool,
    timeoutMs: options.config.replication.watchTimeoutMs,
    hasReached: (position) => hasReached(parts, position),
    signal: stopping.signal,
  });
}

/** Whether everything at or below `position` has been delivered. */
export function hasReached({ progress }: Parts, position: string): boolean {
  return (progress.delivered.position ?? '') >= position;
}
