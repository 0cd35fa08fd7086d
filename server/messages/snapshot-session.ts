// Owns the connection on which a snapshot is read: one transaction at a time, over at its deadline or when nobody wants it
// any more, whatever is under way: an open snapshot keeps the database from cleaning up.

import type { PoolClient, QueryResult, QueryResultRow } from 'pg';

/** The snapshot took longer than it may. */
export class SnapshotLateError extends Error {
  override readonly name = 'SnapshotLateError';
  constructor() {
    super('a snapshot took longer than it may');
  }
}

export class SnapshotSession {
  readonly #client: PoolClient;
  readonly #signal: AbortSignal;
  readonly #timer: NodeJS.Timeout;
  #isReleased = false;
  #isBusy = false;
  #failure: unknown;

  /** Takes `client` over; `end` gives it back. */
  constructor(client: PoolClient, maxMs: number, signal: AbortSignal) {
    this.#client = client;
    this.#signal = signal;
    this.#timer = setTimeout(() => this.#break(new SnapshotLateError()), maxMs);
    signal.addEventListener('abort', this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
  }

  /** Runs a statement. Rejects as well when the session is over, saying why. */
  async query<Row extends QueryResultRow>(text: string, values: readonly unknown[] = []): Promise<QueryResult<Row>> {
    return this.run((client) => client.query<Row>(text, [...values]));
  }

  /** Runs what `work` makes of the connection, and nothing beside it. */
  async run<T>(work: (client: PoolClient) => Promise<T>): Promise<T> {
    if (this.#isReleased) throw this.#failure ?? new Error('the snapshot is closed');
    this.#isBusy = true;
    try {
      return await work(this.#client);
    } catch (error) {
      const failure = this.#failure ?? error;
      // It is not known what a policy's function has left in the session.
      this.#break(failure);
      throw failure;
    } finally {
      this.#isBusy = false;
    }
  }

  /** Ends transaction and session. Again: nothing. Never rejects. */
  async end(): Promise<void> {
    if (this.#isReleased) return;
    if (this.#isBusy) return this.#break(new Error('the snapshot was closed'));
    // Rolled back: also what a policy's function may have set for the session is gone then.
    await this.query('rollback').catch(() => undefined);
    this.#release(false);
  }

  readonly #onAbort = (): void => this.#break(this.#signal.reason);

  #break(failure: unknown): void {
    this.#failure ??= failure;
    this.#release(true);
  }

  #release(isBroken: boolean): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    clearTimeout(this.#timer);
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#client.release(isBroken);
  }
}
