// The composition root, its stream: how the pipeline gets its source, its journal and its counters.

import { hostname } from 'node:os';
import { Client } from 'pg';
import { buildRowJudge } from './app-judge.ts';
import type { Parts } from './app-parts.ts';
import { TypeResolver } from './changes/type-resolver.ts';
import { answerWithin, endWithin } from './db/dead-link.ts';
import { clientConfig, pinned } from './db/pools.ts';
import { readPrimaryKey } from './db/primary-key.ts';
import { classifyDatabaseError } from './db/sqlstate.ts';
import { readTypes } from './db/type-rows.ts';
import type { DeliveryCounters } from './delivery/delivery-counters.ts';
import { Pipeline } from './delivery/pipeline.ts';
import { must } from './lib/assert.ts';
import { type OpenSource, openChangeSource, type SourceRequest } from './replication/change-source.ts';
import { SlotWatch } from './replication/slot-watch.ts';
import type { Metrics } from './stats/metrics.ts';

/** Less idle WAL than this is our own bookkeeping. */
const IDLE_OTHER_BYTES = 16 * 1024;
/** How long a predecessor's walsender may hold the slot before the start is tried anew. */
const SLOT_RELEASE_MS = 5_000;
/** Bounds that are no settings: nobody has had a reason to change them. */
const STANDBY_POLL_MS = 250;
const JOURNAL_GRACE_MS = 5_000;
/** Sockets are looked after so many times before one can reach its bound. */
const STRETCHES_PER_BOUND = 8;
/** How soon the database notices in the middle of a statement that its server is gone. */
const CONNECTION_CHECK_MS = 1_000;
const SILENCE_WITHOUT_TIMEOUT_MS = 60_000;

/** Builds the main loop; it runs under supervision. */
export function buildPipeline(parts: Omit<Parts, 'pipeline'>): Pipeline {
  const { options, database, ephemeralTables, hub, metrics, state, shedding, progress, announcer, enqueued } = parts;
  const { config, log } = options;
  const { delivery, replication, socket } = config;
  return new Pipeline({
    openSource: async (request, signal) => {
      const source = await openSource(parts, request, signal);
      if (source !== undefined) metrics.streamStarts.inc();
      return source;
    },
    dropSlot: async () => {
      await database.pool.query(
        'select pg_catalog.pg_drop_replication_slot(s.slot_name) from pg_catalog.pg_replication_slots as s where s.slot_name = $1',
        [replication.slot],
      );
    },
    journalGraceMs: JOURNAL_GRACE_MS,
    shedding,
    hub,
    types: new TypeResolver((oids) => readTypes(database.pool, oids)),
    readPrimaryKey: (oid) => readPrimaryKey(database.pool, oid),
    judge: buildRowJudge(parts, parts.judging),
    counters: countersOf(metrics),
    isPersisted: (channel) => ephemeralTables.isPersisted(channel),
    isDataError: (error) => ['data_exception', 'limit_exceeded'].includes(classifyDatabaseError(error).kind),
    maxPayloadBytes: socket.maxMessageBytes,
    maxAheadBytes: delivery.maxAheadBytes,
    drainWaitMs: delivery.drainWaitMs,
    maxStretchBytes: socket.maxQueuedBytes / STRETCHES_PER_BOUND,
    maxBatchEntries: delivery.journalRows,
    lingerMs: delivery.journalDelayMs,
    idleRaiseBytes: replication.idleRaiseBytes,
    idleRaiseIntervalMs: replication.idleRaiseIntervalMs,
    idleOtherBytes: IDLE_OTHER_BYTES,
    onEnqueued: () => enqueued.tell(),
    state,
    progress,
    announcer,
    log,
  });
}

/** Builds the look at the slot; what it finds is done by the pipeline. */
export function buildSlotWatch({ options, database, metrics, state, shedding, pipeline }: Parts): SlotWatch {
  const { config, log } = options;
  const { slot, publication, maxRetainedWalBytes } = config.replication;
  return new SlotWatch({
    pool: database.pool,
    slot,
    publicationPrefix: publication,
    maxRetainedBytes: maxRetainedWalBytes,
    isLeading: () => pipeline.epoch !== null || state.report.status === 'slot_lost',
    onHeld: ({ lagBytes, retainedBytes }) => {
      metrics.slotLagBytes.set(lagBytes);
      metrics.retainedWalBytes.set(retainedBytes);
    },
    shed: () => noted(shedding.begin(), () => metrics.sheddings.inc()),
    deliver: () => pipeline.epoch !== null && shedding.end(),
    discardSlot: (why) => {
      metrics.blownFuses.inc();
      pipeline.discardSlot(why);
    },
    reopen: (why) => pipeline.reopen(why),
    log,
  });
}

function noted(isSo: boolean, note: () => void): boolean {
  if (isSo) note();
  return isSo;
}

/** Connects what delivery counts to metrics. */
export function countersOf(metrics: Metrics): DeliveryCounters {
  return {
    delivered: (kind, messages, counts) => {
      (kind === 'changes' ? metrics.changes : metrics.publishedMessages).inc(messages);
      metrics.messages.inc(counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0));
      metrics.deliveries.inc(counts.reduce((sum, count) => sum + count, 0));
    },
    journaled: (changes, published) => {
      metrics.journaledChanges.inc(changes);
      metrics.journaledMessages.inc(published);
    },
    ephemeral: (audienceCount) => {
      metrics.ephemeralMessages.inc();
      metrics.deliveries.inc(audienceCount);
    },
  };
}

async function openSource(
  { options, database, ephemeralTables }: Omit<Parts, 'pipeline'>,
  request: SourceRequest,
  signal: AbortSignal,
): Promise<OpenSource | undefined> {
  const { config, databaseUrl, log } = options;
  const { replication, delivery } = config;
  await ephemeralTables.look();
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
      connection: clientConfig({
        ...session,
        applicationName: 'rowcast stream',
        idleInTransactionTimeoutMs: 0,
        // Names of tables and types (regclass, regtype) print qualified, whatever the database's own path is.
        settings: { search_path: '' },
      }),
      openSession: (what) =>
        openSession(
          clientConfig({ ...session, applicationName: `rowcast ${what}`, idleInTransactionTimeoutMs: 1_000 }),
          replication.leaseMs,
        ),
      leaseMs: replication.leaseMs,
      standbyPollMs: STANDBY_POLL_MS,
      cancelSession: async (pid) => {
        await database.pool.query('select pg_catalog.pg_cancel_backend($1)', [pid]);
      },
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
    request,
    signal,
  );
}

async function openSession(settings: ReturnType<typeof clientConfig>, answerMs: number): Promise<Client> {
  const client = new Client(settings);
  client.on('error', () => undefined); // whoever uses the session hears of its end as well
  await client.connect();
  try {
    await answerWithin(client, answerMs, pinned(client));
    // A backend that waits (for a slot, a lock) would outlive a server that was killed, and hold the lead.
    // Not every system can do that: then it is left out.
    const asked = client.query(`set client_connection_check_interval = '${CONNECTION_CHECK_MS}ms'`);
    await answerWithin(
      client,
      answerMs,
      asked.catch(() => undefined),
    );
  } catch (error) {
    await endWithin(client, answerMs);
    throw error;
  }
  return client;
}
