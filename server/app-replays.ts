// The composition root, its replays: how who resumes or wants a snapshot is brought to being live.

import type { Pool } from 'pg';
import { buildRowJudge } from './app-judge.ts';
import { MONOTONIC, type Parts } from './app-parts.ts';
import { StoredChanges } from './changes/stored-changes.ts';
import { TypeResolver } from './changes/type-resolver.ts';
import { classifyDatabaseError, mayPass } from './db/sqlstate.ts';
import { readTypes } from './db/type-rows.ts';
import type { Judge } from './delivery/audience.ts';
import type { ReplaySourceOptions } from './delivery/replay-source.ts';
import { ReplayTurns } from './delivery/replay-turns.ts';
import { Replays, type ReplaysOptions } from './delivery/replays.ts';
import { SliceCache } from './delivery/slice-cache.ts';
import { snapshotPlanner } from './delivery/snapshot-plan.ts';
import { Viewers } from './delivery/viewers.ts';
import type { Resumption } from './gateway/resumption.ts';
import { HeldBytes } from './hub/backlog.ts';
import { must } from './lib/assert.ts';
import { type Lsn, parseLsn } from './lib/position.ts';
import { changeIds } from './messages/change-ids.ts';
import { ReplayReader } from './messages/replay-reader.ts';
import { ResumePoints } from './messages/resume-point.ts';
import { SnapshotReader } from './messages/snapshot-reader.ts';
import { TableRulesStore } from './policies/table-rules-store.ts';

/** Bounds that are no settings: nobody has had a reason to change them. */
/** A stretch is judged in one call; with what may wait already it stays below the socket's bound. */
const STRETCHES_PER_BOUND = 2;
const SNAPSHOT_CHUNK_BYTES = 128 * 1024;

export type BuiltReplays = Resumption & {
  /** Resolves when nothing is under way; `stopping` has to be aborted. */
  close(): Promise<void>;
};

/** Builds what brings subscriptions with a past to being live. */
export function buildReplays(parts: Parts): BuiltReplays {
  const replays = new Replays(optionsOf(parts));
  parts.metrics.beforeScrape(() => parts.metrics.replaysUnderWay.set(replays.size));
  return {
    find: (question) => replays.find(question),
    isKept: (canonical) => parts.ephemeralTables.isPersisted(canonical),
    backlog: () => replays.backlog(),
    begin: (subscription, tableOid, way) => replays.begin(subscription, tableOid, way),
    close: () => replays.close(),
  };
}

function optionsOf(parts: Parts): ReplaysOptions {
  const { options, database, replaying, snapshots, policySnapshots, hub, metrics, progress, stopping } = parts;
  const { config, log } = options;
  const { replay, socket } = config;
  const types = new TypeResolver((oids) => readTypes(database.pool, oids));
  const rules = new TableRulesStore(replaying.pool, config.auth.roles);
  return {
    hub,
    progress,
    viewers: new Viewers(),
    judge: buildReplayJudge(parts),
    maxPayloadBytes: socket.maxMessageBytes,
    maxStretchBytes: socket.maxQueuedBytes / STRETCHES_PER_BOUND,
    turns: new ReplayTurns(replay.maxAtOnce, replay.maxOfConnection),
    snapshotTurns: new ReplayTurns(Math.min(replay.snapshotPoolSize, replay.maxAtOnce), replay.maxOfConnection),
    held: new HeldBytes(replay.maxHeldBytes),
    points: new ResumePoints(replaying.pool),
    source: buildReplaySource(parts, rules, types),
    reader: new SnapshotReader({
      pool: snapshots.pool,
      policyPool: policySnapshots.pool,
      roles: config.auth.roles,
      maxMs: replay.snapshotTimeoutMs,
      chunkBytes: SNAPSHOT_CHUNK_BYTES,
      maxRowBytes: socket.maxMessageBytes,
      log,
    }),
    plan: snapshotPlanner({ pool: replaying.pool, rules, types, maxRowBytes: socket.maxMessageBytes }),
    readWalEnd: () => readWalEnd(replaying.pool),
    counters: {
      replayed: (messages) => metrics.replayedMessages.inc(messages),
      overflown: () => metrics.replayOverflows.inc(),
      snapshot: (rows) => metrics.snapshotRows.inc(rows),
    },
    isPassing: (failure) => mayPass(classifyDatabaseError(failure).kind),
    log,
    signal: stopping.signal,
  };
}

// A commit of its own has all WAL before it flushed, and so streamed: nothing else might for a long time.
const WAL_END = `
  begin; set local synchronous_commit = local;
  select pg_catalog.pg_current_wal_insert_lsn()::text as lsn;
  select pg_catalog.pg_logical_emit_message(true, 'rowcast', ''); commit`;

async function readWalEnd(pool: Pool): Promise<Lsn> {
  const results = (await pool.query(WAL_END)) as unknown as { rows: { lsn: string }[] }[];
  return must(parseLsn(must(results[2]?.rows[0], 'the end of the WAL').lsn), 'an LSN');
}

/** Builds the judge of history: it is read only once everybody sees what its transactions did, however long ago that was. */
export function buildReplayJudge(parts: Parts): Judge {
  const judge = buildRowJudge(parts, parts.replayJudging);
  return { judge: (tables, _xids, signal) => judge.judge(tables, [], signal) };
}

/** Builds what reads the history of a channel as messages. */
export function buildReplaySource(
  { replaying, progress, options }: Parts,
  rules: TableRulesStore,
  types: TypeResolver,
): ReplaySourceOptions {
  return {
    reader: new ReplayReader(replaying.pool),
    restorer: new StoredChanges({ types, maxPayloadBytes: options.config.socket.maxMessageBytes }),
    rules,
    cache: new SliceCache(MONOTONIC),
    idOf: () => changeIds(progress.systemIdentifier ?? ''),
  };
}
