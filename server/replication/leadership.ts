// Owns who may write: at most one server of a database leads. The lock is a session's advisory lock, so it
// ends with the session that journals; the term fences whoever believes to lead after that.
// The journal's transactions check the term in their first statement.

import type { Client } from 'pg';
import { must } from '../lib/assert.ts';

export type Leadership = {
  /** The session that holds the lock; the journal writes on it. */
  readonly client: Client;
  readonly term: bigint;
};

/**
 * Tries to lead on `client`'s session; undefined while another server does.
 * The lock and the term are released by ending the session.
 */
export async function tryToLead(client: Client, slot: string, holder: string): Promise<Leadership | undefined> {
  const lock = await client.query<{ leads: boolean }>(
    `select pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended('rowcast:' || $1, 0)) as leads`,
    [slot],
  );
  if (lock.rows[0]?.leads !== true) return undefined;
  const { rows } = await client.query<{ term: string }>(
    `update realtime.checkpoint as c
     set term = c.term + 1, lease_holder = $1, journal_pid = a.pid, journal_backend_start = a.backend_start
     from pg_catalog.pg_stat_activity as a where a.pid = pg_catalog.pg_backend_pid()
     returning c.term::text`,
    [holder],
  );
  return { client, term: BigInt(must(rows[0], 'the checkpoint row').term) };
}
