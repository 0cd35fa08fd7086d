// The composition root, its webhooks out: the worker that sends them, and the keeper of their deliveries.

import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { SecretConfig } from './config/stored-secret.ts';
import type { Database } from './db/pools.ts';
import type { Logger } from './lib/logger.ts';
import type { Service } from './lib/service.ts';
import { VERSION } from './lib/version.ts';
import type { Metrics } from './stats/metrics.ts';
import { AddressGuard } from './webhooks/address-guard.ts';
import { deliveryKeeper } from './webhooks/delivery-keeper.ts';
import { DeliveryQueue } from './webhooks/delivery-queue.ts';
import { Sender } from './webhooks/sender.ts';
import { WebhookWorker, type WorkerCounters } from './webhooks/worker.ts';

export type WebhookParts = {
  readonly config: SecretConfig;
  /** Of its own: webhooks wait for nobody's queries, and nobody for theirs. */
  readonly sending: Database;
  readonly metrics: Metrics;
  readonly log: Logger;
};

export type Webhooks = {
  /** Judges URLs when they are written; the same one judges them when they are called. */
  readonly guard: AddressGuard;
  /** To be run under supervision. */
  readonly services: readonly Service[];
  /** Deliveries were written. */
  wake(): void;
  /** Closes connections to receivers; the services have to be at their end. */
  close(): Promise<void>;
};

/** Leasing, finishing and house-keeping. */
export const SENDING_CONNECTIONS = 3;
/** Bounds that are no settings: nobody has had a reason to change them. */
const POLL_MS = 250;
const MAX_BYTES = 64 * 1024 * 1024;
/** Beyond the answer, for writing down what it was. */
const LEASE_SLACK_MS = 2_000;

/** Builds what sends webhooks; nothing runs yet. */
export function buildWebhooks({ config, sending, metrics, log }: WebhookParts): Webhooks {
  const { webhooks, shutdown } = config;
  const guard = new AddressGuard(webhooks);
  const { timeoutMs, giveUpMs, pauseAfterMs, retryInitialMs, retryMaxMs } = webhooks;
  const sender = new Sender({ guard, timeoutMs, userAgent: `Rowcast/${VERSION}` });
  const leaseMs = 2 * timeoutMs + LEASE_SLACK_MS;
  const worker = new WebhookWorker({
    queue: new DeliveryQueue({
      pool: sending.pool,
      holder: `${hostname()} ${process.pid} ${randomUUID()}`,
      leaseMs,
      rules: { initialMs: retryInitialMs, maxMs: retryMaxMs, giveUpMs, pauseAfterMs },
    }),
    sender,
    ...{ timeoutMs, leaseMs, log },
    maxInFlight: webhooks.maxInFlight,
    maxBytes: MAX_BYTES,
    pollMs: POLL_MS,
    graceMs: shutdown.drainMs,
    counters: countersOf(metrics),
  });
  const keeper = deliveryKeeper({
    pool: sending.pool,
    giveUpMs,
    keepMs: webhooks.keepMs,
    counters: {
      dead: (deliveries) => metrics.webhookDead.inc(deliveries),
      removed: (deliveries) => metrics.webhookRemoved.inc(deliveries),
    },
  });
  return {
    guard,
    services: webhooks.enabled ? [worker, keeper] : [],
    wake: () => worker.wake(),
    close: () => sender.close(),
  };
}

function countersOf(metrics: Metrics): WorkerCounters {
  return {
    attempted: ({ kind, durationMs }) => {
      metrics.webhookAttempts.inc({ outcome: kind });
      metrics.webhookSeconds.inc(durationMs / 1000);
    },
    inFlight: (requests) => metrics.webhooksInFlight.set(requests),
    finished: ({ delivered, dead, lost, stopped }) => {
      metrics.webhookDelivered.inc(delivered);
      metrics.webhookDead.inc(dead);
      metrics.webhookLostLeases.inc(lost);
      for (const { state } of stopped) metrics.webhookStopped.inc({ state });
    },
  };
}
