// Owns who may write: at most one server of a database leads. The lock is a session's advisory lock, so it
// ends with the session that journals; the term fences whoever believes to lead after that.
// The journal's transactions check the term in their first statement. A leader that holds the lock and is
// dead all the same is told by its lease (lease.ts), and its sessions are ended by whoever waits for the lock.

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
     set term = c.term + 1, lease_holder = $1, journal_pid = a.pid, journal_backend_start = a.backend_start,
       walsender_pid = null, walsender_backend_start = null
     from pg_catalog.pg_stat_activity as a where a.pid = pg_catalog.pg_backend_pid()
     returning c.term::text`,
    [holder],
  );
  return { client, term: BigInt(must(rows[0], 'the checkpoint row').term) };
}

// Whoever holds the lock, reads the slot and renews the lease is looked up, not remembered: what was recorded may
// be outdated, and its process id somebody else's. A leader that has no lease session yet goes by its journal's.
const END_EXPIRED = `
  with own as (
    select a.usesysid, a.datid from pg_catalog.pg_stat_activity as a where a.pid = pg_catalog.pg_backend_pid()
  ), holder as (
    select a.pid, a.state_change from pg_catalog.pg_locks as l
      join pg_catalog.pg_stat_activity as a on a.pid = l.pid join own on own.usesysid = a.usesysid and own.datid = l.database
    where l.locktype = 'advisory' and l.objsubid = 1 and l.granted and l.pid <> pg_catalog.pg_backend_pid()
      and ((l.classid::bigint << 32) | l.objid::bigint) = pg_catalog.hashtextextended('rowcast:' || $1, 0)
  ), lease as (
    select a.pid, a.state_change from realtime.lease as e join realtime.checkpoint as c on c.term = e.term
      join pg_catalog.pg_stat_activity as a on a.pid = e.pid and a.backend_start = e.backend_start
  ), expired as (
    select h.pid from holder as h
    where coalesce((select l.state_change from lease as l), h.state_change)
      < pg_catalog.clock_timestamp() - $2 * interval '1 millisecond'
  )
  select pg_catalog.pg_terminate_backend(v.pid) from (
    select e.pid from expired as e
    union select l.pid from lease as l where exists (select from expired)
    union select s.active_pid from pg_catalog.pg_replication_slots as s
      join pg_catalog.pg_stat_activity as a on a.pid = s.active_pid join own on own.usesysid = a.usesysid
    where s.slot_name = $1 and exists (select from expired)
  ) as v`;

/**
 * Ends the sessions of a leader that has not renewed its lease for `leaseMs`, by the database's clock, so that
 * what it has sent already can neither write nor confirm. Returns whether there was one.
 */
export async function endExpiredLeader(client: Client, slot: string, leaseMs: number): Promise<boolean> {
  const { rows } = await client.query(END_EXPIRED, [slot, leaseMs]);
  return rows.length > 0;
}

/** Ends whoever reads the slot; only for the leader. */
export async function endReader(client: Client, slot: string): Promise<void> {
  await client.query(
    'select pg_catalog.pg_terminate_backend(s.active_pid) from pg_catalog.pg_replication_slots as s where s.slot_name = $1 and s.active',
    [slot],
  );
}
