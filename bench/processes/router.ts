// The subject of `decode`: the server's own stream, translator and dispatcher over a hub with no subscriber,
// or one on a sink that takes everything. In place of the journal something takes its batches and drops them.
// Nothing is confirmed, so that the same WAL can be read again.

import { Translator } from '../../server/changes/translator.ts';
import { TypeResolver } from '../../server/changes/type-resolver.ts';
import { clientConfig } from '../../server/db/pools.ts';
import { Dispatcher } from '../../server/delivery/dispatcher.ts';
import { JournalQueue } from '../../server/delivery/journal-queue.ts';
import { StreamProgress } from '../../server/delivery/stream-progress.ts';
import { Connection } from '../../server/hub/connection.ts';
import { Hub } from '../../server/hub/hub.ts';
import { endOfTransaction, toEpoch, ZERO_LSN } from '../../server/lib/position.ts';
import { messageIdMask } from '../../server/protocol/message-id.ts';
import { WalStream } from '../../server/replication/wal-stream.ts';
import { SILENT } from '../silent.ts';
import { answerCalls } from './answer-calls.ts';
import type { ReadOrder, ReadResult } from './read-result.ts';

const EPOCH = toEpoch(1);
const MAX_AHEAD_BYTES = 64 * 1024 * 1024;
const BATCH_BYTES = 1024 * 1024;
const MAX_PAYLOAD_BYTES = 256 * 1024;
const CHANNEL = 'db:bench_rows';

export type RouteOrder = ReadOrder & { readonly hasSubscriber: boolean };

/** What one run counted on its way. */
type Tally = { changes: number; deliveries: number; firstRowAt: number };

async function read(order: RouteOrder): Promise<ReadResult> {
  const hub = openHub(order.hasSubscriber);
  const tally: Tally = { changes: 0, deliveries: 0, firstRowAt: 0 };
  const queue = new JournalQueue(MAX_AHEAD_BYTES);
  const dispatcher = openDispatcher(hub, queue, tally);
  const stop = new AbortController();
  const dropping = dropAll(queue, stop.signal);
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const stream = await openStream(order);
  while (tally.changes < order.rows) {
    const batch = await stream.next(stop.signal);
    if (batch !== undefined) await dispatcher.dispatch(batch, stop.signal);
  }
  const tookMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpu);
  stop.abort();
  await dropping;
  await stream.close();
  if (order.hasSubscriber && tally.deliveries !== order.rows) throw new Error(`${tally.deliveries} were delivered`);
  return { tookMs, firstRowMs: tally.firstRowAt - startedAt, cpuMicros: user + system };
}

function openStream({ databaseUrl, slot, publications }: ReadOrder): Promise<WalStream> {
  return WalStream.open({
    connection: clientConfig({
      connectionString: databaseUrl,
      applicationName: 'bench stream',
      statementTimeoutMs: 0,
      idleInTransactionTimeoutMs: 0,
    }),
    slot,
    publications,
    epoch: EPOCH,
    handled: ZERO_LSN,
    confirmed: ZERO_LSN,
    maxQueuedBytes: BATCH_BYTES,
    statusIntervalMs: 10_000,
    silenceLimitMs: 60_000,
    keepaliveRunLimit: 20,
    onIdle: () => undefined,
    log: SILENT,
  });
}

function openHub(hasSubscriber: boolean): Hub {
  const now = (): number => performance.now();
  const hub = new Hub({
    maxQueuedBytes: BATCH_BYTES,
    tooSlowAfterMs: 2_000,
    drainingWithinMs: 500,
    hardBoundFactor: 8,
    now,
  });
  if (!hasSubscriber) return hub;
  const identity = {
    sub: 'bench',
    role: 'service_role',
    claims: {},
    classKey: 'bench',
    isAdmin: true,
    expiresAt: null,
  };
  const sink = { write: () => true };
  const connection = new Connection({ id: 'bench', identity, sink, onTooSlow: () => undefined, now });
  hub.connect(connection);
  const spec = { dialect: 'rowcast' as const, channelName: CHANNEL, events: null, filter: null, identity };
  hub.subscribe({ id: 'bench', connection, channel: CHANNEL, spec });
  return hub;
}

function openDispatcher(hub: Hub, queue: JournalQueue, tally: Tally): Dispatcher {
  return new Dispatcher({
    hub,
    queue,
    translator: new Translator({
      epoch: EPOCH,
      messageIdMask: messageIdMask(new Uint8Array(16)),
      types: new TypeResolver(() => Promise.reject(new Error('only built-in types here'))),
      readPrimaryKey: () => Promise.resolve([]),
      maxPayloadBytes: MAX_PAYLOAD_BYTES,
    }),
    // The one subscriber is an admin, so nobody has to be judged.
    judge: { judge: () => Promise.reject(new Error('an admin needs no decision')) },
    isShedding: () => false,
    announcer: { withheld: () => undefined },
    progress: startOfStream(),
    drainWaitMs: 50,
    maxStretchBytes: 128 * 1024,
    maxPayloadBytes: MAX_PAYLOAD_BYTES,
    counters: {
      delivered: (_kind, changes, counts) => {
        if (tally.changes === 0) tally.firstRowAt = performance.now();
        tally.changes += changes;
        for (const count of counts) tally.deliveries += count;
      },
      journaled: () => undefined,
      ephemeral: () => undefined,
    },
    isPersisted: () => true,
    log: SILENT,
  });
}

function startOfStream(): StreamProgress {
  const progress = new StreamProgress();
  progress.delivered.reset(endOfTransaction(EPOCH, ZERO_LSN));
  return progress;
}

async function dropAll(queue: JournalQueue, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await queue.work(signal);
    queue.release(queue.take(Number.MAX_SAFE_INTEGER));
  }
}

answerCalls({ read });
