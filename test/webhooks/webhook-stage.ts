// Owns a database with endpoints and deliveries that no journal wrote, a receiver that answers as a test says, and workers
// over both.

import { randomUUID } from 'node:crypto';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { supervise } from '../../server/lib/service.ts';
import { AddressGuard } from '../../server/webhooks/address-guard.ts';
import type { AttemptResult } from '../../server/webhooks/attempt-result.ts';
import { DeliveryQueue, type Finished } from '../../server/webhooks/delivery-queue.ts';
import { Sender } from '../../server/webhooks/sender.ts';
import { WebhookWorker } from '../../server/webhooks/worker.ts';
import { collectingLog, type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import type { TestPostgres } from '../rig/postgres.ts';

export type Received = {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** Requests of the same path that were under way when it came, itself included. */
  readonly together: number;
};

/** Called for each request; whoever gives no status has answered, or never will. */
export type Answer = (received: Received, response: ServerResponse) => number | undefined | Promise<number | undefined>;

export type Receiver = AsyncDisposable & {
  readonly url: string;
  readonly received: Received[];
  answer: Answer;
};

export type WorkerRun = AsyncDisposable & {
  readonly worker: WebhookWorker;
  readonly results: AttemptResult[];
  readonly finished: Finished[];
  readonly log: ReturnType<typeof collectingLog>;
  /** Stops it and waits until it has ended. */
  stop(): Promise<void>;
};

export type WorkerBounds = {
  readonly timeoutMs?: number;
  readonly leaseMs?: number;
  readonly initialMs?: number;
  readonly giveUpMs?: number;
  readonly pauseAfterMs?: number;
  readonly maxInFlight?: number;
  readonly graceMs?: number;
  readonly holder?: string;
};

export type WebhookStage = AsyncDisposable & {
  readonly host: MigratedDatabase;
  readonly receiver: Receiver;
  /** An endpoint with columns of its own; returns its id. */
  endpoint(columns?: Readonly<Record<string, unknown>>): Promise<string>;
  /** Deliveries with the bodies `"<prefix>1"` …; returns the ids of their messages. */
  deliveries(endpointId: string, count: number, columns?: Readonly<Record<string, unknown>>): Promise<string[]>;
  run(bounds?: WorkerBounds): WorkerRun;
  /** Deliveries by state. */
  states(endpointId: string): Promise<Record<string, number>>;
  row(endpointId: string): Promise<Record<string, unknown>>;
};

const GUARD = new AddressGuard({ allow: ['127.0.0.0/8'], httpsOnly: false });

export async function openWebhookStage(postgres: TestPostgres): Promise<WebhookStage> {
  const host = await migratedDatabase(postgres);
  const receiver = await openReceiver();
  return {
    host,
    receiver,
    endpoint: (columns = {}) => insert(host, 'webhook_endpoints', { url: receiver.url, pattern: '*', ...columns }),
    deliveries: async (endpointId, count, columns = {}) => {
      const ids = Array.from({ length: count }, () => randomUUID());
      for (const [index, id] of ids.entries())
        await insert(host, 'webhook_deliveries', { ...delivery(endpointId, id, index), ...columns });
      return ids;
    },
    run: (bounds = {}) => runWorker(host, bounds),
    states: async (endpointId) => {
      const rows = await host.sql<{ state: string; count: number }>(
        'select state, count(*)::int as count from realtime.webhook_deliveries where endpoint_id = $1 group by 1',
        [endpointId],
      );
      return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
    },
    row: async (endpointId) => {
      const [row] = await host.sql('select * from realtime.webhook_endpoints where id = $1', [endpointId]);
      return row as Record<string, unknown>;
    },
    [Symbol.asyncDispose]: async () => {
      await receiver[Symbol.asyncDispose]();
      await host.close();
    },
  };
}

function delivery(endpointId: string, messageId: string, index: number): Record<string, unknown> {
  return {
    ...{ endpoint_id: endpointId, message_id: messageId, source: 'test', channel_name: 'order:1', event_name: 'paid' },
    ...{ message_created_at: new Date().toISOString(), body: Buffer.from(`"${index + 1}"`) },
  };
}

async function insert(host: MigratedDatabase, table: string, columns: Readonly<Record<string, unknown>>) {
  const names = Object.keys(columns);
  const places = names.map((_, index) => `$${index + 1}`);
  const [row] = await host.sql<{ id: string }>(
    `insert into realtime.${table} (${names.join(', ')}) values (${places.join(', ')}) returning id::text as id`,
    Object.values(columns),
  );
  return (row as { id: string }).id;
}

/** A receiver on a port of its own. */
export async function openReceiver(): Promise<Receiver> {
  const underWay = new Map<string, number>();
  const count = (path: string, by: number): number => {
    const now = (underWay.get(path) ?? 0) + by;
    underWay.set(path, now);
    return now;
  };
  const server = createServer(async (request, response) => {
    const path = request.url ?? '';
    const together = count(path, 1);
    response.on('close', () => count(path, -1));
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const received = { path, headers: request.headers, body: Buffer.concat(parts).toString(), together };
    receiver.received.push(received);
    const status = await receiver.answer(received, response);
    if (status !== undefined) response.writeHead(status).end('answered');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    received: [],
    answer: () => 200,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return receiver;
}

function runWorker(host: MigratedDatabase, bounds: WorkerBounds): WorkerRun {
  const { timeoutMs = 2_000, leaseMs = 10_000, initialMs = 20, giveUpMs = 60_000, pauseAfterMs = 3_600_000 } = bounds;
  const results: AttemptResult[] = [];
  const finished: Finished[] = [];
  const log = collectingLog();
  const sender = new Sender({ guard: GUARD, timeoutMs, userAgent: 'Rowcast/test' });
  const holder = bounds.holder ?? randomUUID();
  const rules = { initialMs, maxMs: 10_000, giveUpMs, pauseAfterMs };
  const worker = new WebhookWorker({
    queue: new DeliveryQueue({ pool: host.db.pool, holder, leaseMs, rules }),
    sender,
    ...{ timeoutMs, leaseMs, log, maxInFlight: bounds.maxInFlight ?? 200, maxBytes: 64 * 1024 * 1024 },
    ...{ pollMs: 20, graceMs: bounds.graceMs ?? 5_000 },
    counters: {
      attempted: (result) => void results.push(result),
      inFlight: () => undefined,
      finished: (group) => void finished.push(group),
    },
  });
  const stopping = new AbortController();
  const running = supervise(worker, stopping.signal, { log, backoff: { initialMs: 10, maxMs: 100 } });
  const stop = async (): Promise<void> => {
    stopping.abort();
    await running;
    await sender.close();
  };
  return { worker, results, finished, log, stop, [Symbol.asyncDispose]: stop };
}
