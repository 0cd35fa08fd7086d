// The composition root: starts everything from one Config and a database, runs the loops under supervision,
// and stops all of it in reverse. Nothing here decides; rooms get what they need as options. What is shared is
// built by app-parts.ts, the stream by app-pipeline.ts, the gateway by app-gateway.ts.

import { buildFront, type Front } from './app-gateway.ts';
import { type AppOptions, buildParts, completionOf, MONOTONIC, type Parts } from './app-parts.ts';
import { buildSlotWatch } from './app-pipeline.ts';
import { buildWebhookJudge } from './app-webhook-judge.ts';
import { CataloguePoll } from './channels/catalogue-poll.ts';
import type { StatusReport } from './delivery/stream-status.ts';
import { polling } from './lib/polling.ts';
import type { Position } from './lib/position.ts';
import { type Service, supervise } from './lib/service.ts';
import { type HistoryCounters, HistoryKeeper } from './messages/history-keeper.ts';
import type { Metrics } from './stats/metrics.ts';

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

/** How soon streams end whose token was changed on another server. */
const SOURCE_LOOK_MS = 500;

/** Builds and starts everything. Rejects if it cannot listen; nothing is left running then. */
export async function startApp(options: AppOptions): Promise<App> {
  const parts = buildParts(options);
  const front = buildFront(parts);
  const { gateway } = front;
  // Whoever is connected here gets nothing any more: elsewhere it does.
  parts.state.listen(({ status }) => {
    if (status === 'standby') gateway.sendAway();
  });
  try {
    const { host, port } = await gateway.listen();
    const finished = superviseAll(parts, front);
    let stopped: Promise<void> | undefined;
    const stop = (): Promise<void> => (stopped ??= stopAll(parts, front, finished));
    const status = (): StatusReport => parts.state.report;
    return { host, port, settled: parts.settled, status, finished, stop };
  } catch (error) {
    await gateway.close();
    await closeParts(parts);
    throw error;
  }
}

async function superviseAll(parts: Parts, { review, sourceTokens }: Front): Promise<void> {
  const { options, database, pipeline, metrics, stopping, webhooks } = parts;
  const { log, config } = options;
  const { reconnectInitialMs, reconnectMaxMs } = config.replication;
  const backoff = { initialMs: reconnectInitialMs, maxMs: reconnectMaxMs };
  const poll = new CataloguePoll({
    pool: database.pool,
    completion: completionOf(parts),
    ephemeralTables: parts.ephemeralTables,
    onPartitionsChanged: () => partitionTeller(parts),
    log,
  });
  const watch = buildSlotWatch(parts);
  const services: readonly Service[] = [
    pipeline,
    review,
    buildWebhookJudge(parts),
    new HistoryKeeper({ pool: database.pool, counters: historyCounters(metrics), now: MONOTONIC, log }),
    polling({ name: 'catalogue-poll', intervalMs: config.database.cataloguePollMs, look: () => poll.look() }),
    polling({ name: 'source-tokens', intervalMs: SOURCE_LOOK_MS, look: () => sourceTokens.look() }),
    ...webhooks.services,
    polling({ name: 'slot-watch', intervalMs: config.replication.slotWatchMs, look: () => watch.look() }),
  ];
  const running = services.map((service) => supervise(service, stopping.signal, { log, backoff }));
  try {
    await Promise.all(running);
  } finally {
    stopping.abort();
    await Promise.allSettled(running);
  }
}

function partitionTeller({ state, announcer }: Parts): ((relation: string, position: string) => void) | undefined {
  if (state.report.status !== 'streaming') return undefined;
  return (relation, position) => announcer.partitionsChanged(`db:${relation}`, position as Position);
}

function historyCounters(metrics: Metrics): HistoryCounters {
  return {
    made: (partitions) => metrics.partitionsMade.inc(partitions),
    dropped: (partitions) => metrics.partitionsDropped.inc(partitions),
    removed: (rows) => metrics.historyRowsRemoved.inc(rows),
    failed: (steps) => metrics.historyFailures.inc(steps),
    seen: ({ oldestDaySeconds, daysReady, defaultBytes }) => {
      metrics.historyOldestDay.set(oldestDaySeconds ?? 0);
      metrics.historyDaysReady.set(daysReady);
      metrics.defaultPartitionBytes.set(defaultBytes);
    },
  };
}

// Sockets first, so that clients go elsewhere; then the loops, which journal what they have; the pools last.
async function stopAll(parts: Parts, { gateway, replays }: Front, finished: Promise<void>): Promise<void> {
  await gateway.drain();
  parts.stopping.abort();
  await finished.catch(() => undefined);
  await gateway.close();
  await replays.close();
  await closeParts(parts);
}

async function closeParts(parts: Parts): Promise<void> {
  const { database, metrics, stopping } = parts;
  stopping.abort();
  const others = [
    ...[parts.policies, parts.judging, parts.publishing, parts.reading, parts.receiving, parts.sending],
    ...[parts.replaying, parts.replayJudging, parts.snapshots, parts.policySnapshots],
  ];
  await parts.webhooks.close();
  await Promise.all(others.map((pool) => pool.close()));
  await database.close();
  metrics.close();
}
