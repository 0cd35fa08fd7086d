// Owns the lease of a leader: a session of its own that says something several times a lease. The database
// notes when (pg_stat_activity.state_change), and that is what others go by: nothing is written, so an idle system
// stands still. The same look finds a journal whose link is dead while its other end waits or is gone.

import type { Client } from 'pg';
import { answerWithin, DeadLinkError, endWithin } from '../db/dead-link.ts';
import { must } from '../lib/assert.ts';
import { pause } from '../lib/backoff.ts';
import type { Leadership } from './leadership.ts';

export type LeaseOptions = {
  readonly openSession: () => Promise<Client>;
  /** A leader that is silent for so long may be replaced. */
  readonly leaseMs: number;
  readonly holder: string;
  /** Called once when it could not be renewed, or the journal's link is dead: this server no longer leads. */
  readonly onLost: (why: Error) => void;
};

type Backend = { readonly pid: number; readonly backend_start: string };
type Look = { readonly is_active: boolean; readonly silent_ms: number };

const RENEWALS_A_LEASE = 5;
const END_WITHIN_MS = 1_000;

const TAKE = `
  insert into realtime.lease as e (term, holder, pid, backend_start)
  select c.term, $2, a.pid, a.backend_start
  from pg_catalog.pg_stat_activity as a join realtime.checkpoint as c on c.term = $1::bigint
  where a.pid = pg_catalog.pg_backend_pid()
  on conflict on constraint lease_pkey do update
    set term = excluded.term, holder = excluded.holder, pid = excluded.pid, backend_start = excluded.backend_start
  returning e.term`;

const LOOK = `
  select a.state = 'active' as is_active,
    least(extract(epoch from pg_catalog.clock_timestamp() - a.state_change) * 1000, 1000000000)::int as silent_ms
  from pg_catalog.pg_stat_activity as a where a.pid = $1 and a.backend_start = $2::timestamptz`;

/** This server may no longer believe that it leads. */
export class LeaseLostError extends Error {
  override readonly name = 'LeaseLostError';
}

export class Lease {
  readonly #options: LeaseOptions;
  readonly #client: Client;
  readonly #journal: Backend;
  readonly #ending = new AbortController();
  readonly #renewing: Promise<void>;
  #workingSince: (() => number | undefined) | undefined;

  /** Opens the session, and renews until `close`. Rejects where the term is over already. */
  static async take(leadership: Leadership, options: LeaseOptions): Promise<Lease> {
    const journal = await backendOf(leadership.client, options.leaseMs);
    const client = await options.openSession();
    try {
      const taken = client.query(TAKE, [leadership.term.toString(), options.holder]);
      const { rowCount } = await answerWithin(client, options.leaseMs, taken);
      if (rowCount !== 1) throw new LeaseLostError(`term ${leadership.term} is over: another server leads`);
      return new Lease(options, client, journal);
    } catch (error) {
      await endWithin(client, END_WITHIN_MS);
      throw error;
    }
  }

  private constructor(options: LeaseOptions, client: Client, journal: Backend) {
    this.#options = options;
    this.#client = client;
    this.#journal = journal;
    this.#renewing = this.#renew().catch((error: Error) => {
      if (!this.#ending.signal.aborted) options.onLost(error);
    });
  }

  /** From now on the journal is looked after: `since` says since when it waits for the database, if it does. */
  watchJournal(since: () => number | undefined): void {
    this.#workingSince = since;
  }

  /** Stops renewing, and ends the session. */
  async close(): Promise<void> {
    this.#ending.abort();
    await endWithin(this.#client, END_WITHIN_MS);
    await this.#renewing;
  }

  async #renew(): Promise<void> {
    const { leaseMs } = this.#options;
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const { pid, backend_start } = this.#journal;
      const { rows } = await answerWithin(this.#client, leaseMs, this.#client.query<Look>(LOOK, [pid, backend_start]));
      this.#judge(rows[0]);
      await pause(leaseMs / RENEWALS_A_LEASE, signal);
    }
  }

  // It waits for an answer that long, and its backend for a question: what one said the other never got.
  #judge(look: Look | undefined): void {
    if (look === undefined) throw new LeaseLostError('the session of the journal is gone');
    const { leaseMs } = this.#options;
    const since = this.#workingSince?.();
    if (look.is_active || since === undefined) return;
    if (look.silent_ms < leaseMs || performance.now() - since < leaseMs) return;
    throw new DeadLinkError('the link of the journal is dead: it and its backend wait for each other');
  }
}

async function backendOf(client: Client, timeoutMs: number): Promise<Backend> {
  const { rows } = await answerWithin(
    client,
    timeoutMs,
    client.query<Backend>(
      'select pid, backend_start::text from pg_catalog.pg_stat_activity where pid = pg_catalog.pg_backend_pid()',
    ),
  );
  return must(rows[0], 'the backend of the journal');
}
