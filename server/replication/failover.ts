// Owns what a promotion of a standby depends on: whether our slot goes with it (failover slots, PostgreSQL 17 and
// later), and whether the standby was waited for before anything was sent.
// https://www.postgresql.org/docs/18/logicaldecoding-explanation.html#LOGICALDECODING-REPLICATION-SLOTS-SYNCHRONIZATION

import { Client, type ClientBase, type ClientConfig } from 'pg';
import { answerWithin, endWithin } from '../db/dead-link.ts';

/** node-postgres passes it on; its types leave it out. */
type ReplicationConfig = ClientConfig & { readonly replication: 'database' };

const ANSWER_WITHIN_MS = 5_000;

/** Of the slot `s`: it is a failover slot, and what is sent from it a standby has. */
export const IS_FAILOVER_SAFE = `
  coalesce(pg_catalog.to_jsonb(s) ->> 'failover' = 'true'
    and pg_catalog.current_setting('synchronized_standby_slots', true) <> '', false)`;

/** Makes `slot`, which nobody reads, a failover slot; only the replication protocol can. False where that is refused. */
export async function enableFailover(connection: ClientConfig, slot: string): Promise<boolean> {
  const config: ReplicationConfig = { ...connection, replication: 'database' };
  const client = new Client(config);
  client.on('error', () => undefined);
  try {
    await client.connect();
    await answerWithin(client, ANSWER_WITHIN_MS, client.query(`ALTER_REPLICATION_SLOT "${slot}" (FAILOVER true)`));
    return true;
  } catch {
    return false;
  } finally {
    await endWithin(client, ANSWER_WITHIN_MS);
  }
}

/** Notes who reads the slot, for whoever looks; and whether a promotion from here on loses nothing. */
export async function recordStream(leader: ClientBase, slot: string, term: bigint): Promise<void> {
  await leader.query(
    `update realtime.checkpoint as c
     set walsender_pid = s.active_pid, walsender_backend_start = a.backend_start, is_failover_safe = ${IS_FAILOVER_SAFE}
     from pg_catalog.pg_replication_slots as s left join pg_catalog.pg_stat_activity as a on a.pid = s.active_pid
     where s.slot_name = $1 and c.term = $2::bigint`,
    [slot, term.toString()],
  );
}
