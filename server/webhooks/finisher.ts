// Owns the writing down of finished requests: in groups, one transaction at a time, so that many cost few commits. What
// cannot be written is tried again until its lease is over: then it is sent again anyway.

import { classifyDatabaseError, isTransient } from '../db/sqlstate.ts';
import { Backoff, pause } from '../lib/backoff.ts';
import type { Logger } from '../lib/logger.ts';
import type { DeliveryQueue, Finished, FinishedRequest } from './delivery-queue.ts';

export type FinisherOptions = {
  readonly queue: Pick<DeliveryQueue, 'finish'>;
  /** How long what finished waits for company. */
  readonly lingerMs: number;
  /** A group that could not be written for so long is let go. */
  readonly leaseMs: number;
  /** Called with each group, written or let go. */
  readonly onWritten: (group: readonly FinishedRequest[], finished: Finished | undefined) => void;
  readonly log: Logger;
};

const RETRY = { initialMs: 50, maxMs: 1_000 };
const NEVER = new AbortController().signal;

export class Finisher {
  readonly #options: FinisherOptions;
  #waiting: FinishedRequest[] = [];
  #writing: Promise<void> | undefined;

  constructor(options: FinisherOptions) {
    this.#options = options;
  }

  /** Bounded by whoever sends: each request is added once, and counts as under way until it is written. */
  add(finished: FinishedRequest): void {
    this.#waiting.push(finished);
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
  }

  /** Resolves when all that was added is written. */
  async settled(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
  }

  async #write(): Promise<void> {
    while (this.#waiting.length > 0) {
      await pause(this.#options.lingerMs, NEVER);
      const group = this.#waiting.splice(0);
      this.#options.onWritten(group, await this.#writeGroup(group));
    }
  }

  async #writeGroup(group: readonly FinishedRequest[]): Promise<Finished | undefined> {
    const { queue, leaseMs, log } = this.#options;
    const backoff = new Backoff(RETRY);
    const startedAt = performance.now();
    while (true) {
      try {
        return await queue.finish(group);
      } catch (error) {
        const { kind, sqlstate, message } = classifyDatabaseError(error);
        const isOver = performance.now() - startedAt > leaseMs;
        if (isOver || !isTransient(kind)) {
          log.error(
            { sqlstate, reason: message, requests: group.length },
            'webhook attempts could not be written down',
          );
          return undefined;
        }
        await pause(backoff.next(), NEVER);
      }
    }
  }
}
