// Owns the sending of webhooks by this process: leases what is due while it has room, sends it, and hands what came of it
// to the finisher. Any number of processes do this at once. Stopped, it takes nothing more, gives what is under way some
// time, and then lets go of it, so that others can take it at once.

import type { Logger } from '../lib/logger.ts';
import type { Service } from '../lib/service.ts';
import type { AttemptResult } from './attempt-result.ts';
import type { DeliveryQueue, Finished, FinishedRequest } from './delivery-queue.ts';
import type { DueRequest } from './due-request.ts';
import { Finisher } from './finisher.ts';
import type { Sender } from './sender.ts';
import { Wake } from './wake.ts';

export type WorkerCounters = {
  readonly attempted: (result: AttemptResult) => void;
  readonly inFlight: (requests: number) => void;
  readonly finished: (finished: Finished) => void;
};

export type WebhookWorkerOptions = {
  readonly queue: Pick<DeliveryQueue, 'lease' | 'finish'>;
  readonly sender: Pick<Sender, 'send'>;
  readonly maxInFlight: number;
  /** Bodies under way at once, in bytes. */
  readonly maxBytes: number;
  readonly timeoutMs: number;
  readonly leaseMs: number;
  /** How often it looks without being woken: retries, batches, what other servers wrote. */
  readonly pollMs: number;
  /** How long what is under way may take once it is stopped. */
  readonly graceMs: number;
  readonly counters: WorkerCounters;
  readonly log: Logger;
};

const LINGER_MS = 5;

export class WebhookWorker implements Service {
  readonly name = 'webhook-worker';
  readonly #options: WebhookWorkerOptions;
  readonly #finisher: Finisher;
  readonly #wake = new Wake();
  readonly #sending = new Set<Promise<void>>();
  #requests = 0;
  #bytes = 0;

  constructor(options: WebhookWorkerOptions) {
    this.#options = options;
    const { queue, leaseMs, log } = options;
    this.#finisher = new Finisher({
      ...{ queue, leaseMs, log, lingerMs: LINGER_MS },
      onWritten: (group, finished) => this.#written(group, finished),
    });
  }

  /** There may be something to send: it is looked at once. */
  wake(): void {
    this.#wake.up();
  }

  async run(signal: AbortSignal): Promise<void> {
    const ending = new AbortController();
    try {
      while (!signal.aborted) {
        const taken = await this.#take(ending.signal);
        if (taken === 0) await this.#wake.next(this.#options.pollMs, signal);
      }
    } finally {
      await this.#drain(ending, signal);
    }
  }

  async #take(ending: AbortSignal): Promise<number> {
    const { queue, maxInFlight, maxBytes, leaseMs, timeoutMs } = this.#options;
    const room = { requests: maxInFlight - this.#requests, bytes: maxBytes - this.#bytes };
    if (room.requests <= 0 || room.bytes <= 0) return 0;
    const askedAt = performance.now();
    const requests = await queue.lease(room.requests, room.bytes);
    // A lease that comes too late may be over before the answer is there: it is left to run out.
    if (performance.now() - askedAt + timeoutMs > leaseMs) return 0;
    for (const request of requests) this.#begin(request, ending);
    return requests.length;
  }

  #begin(request: DueRequest, ending: AbortSignal): void {
    this.#count(1, request.body.length);
    const sending = this.#send(request, ending);
    this.#sending.add(sending);
    void sending.finally(() => this.#sending.delete(sending));
  }

  async #send(request: DueRequest, ending: AbortSignal): Promise<void> {
    const result = await this.#options.sender.send(request, ending);
    this.#options.counters.attempted(result);
    this.#finisher.add({ request, result });
  }

  #written(group: readonly FinishedRequest[], finished: Finished | undefined): void {
    const { counters, log } = this.#options;
    for (const { request } of group) this.#count(-1, -request.body.length);
    if (finished !== undefined) counters.finished(finished);
    for (const { id, state, reason } of finished?.stopped ?? [])
      log.warn({ endpoint: id, state, reason }, 'a webhook endpoint was stopped');
    this.#wake.up();
  }

  #count(requests: number, bytes: number): void {
    this.#requests += requests;
    this.#bytes += bytes;
    this.#options.counters.inFlight(this.#requests);
  }

  // After a failure of the database it goes on soon: then what is under way has its time.
  async #drain(ending: AbortController, signal: AbortSignal): Promise<void> {
    const { graceMs, timeoutMs } = this.#options;
    const late = setTimeout(() => ending.abort(), signal.aborted ? graceMs : 2 * timeoutMs);
    await Promise.all(this.#sending);
    clearTimeout(late);
    await this.#finisher.settled();
  }
}
