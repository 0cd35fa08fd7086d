// Owns the slot and the checkpoint at the start of a stream: reads what there is, decides with
// start-decision.ts, makes the slot and begins an epoch where needed. While streaming, the checkpoint is
// written by the journal.

import type { ClientBase } from 'pg';
import { must } from '../lib/assert.ts';
import type { Logger } from '../lib/logger.ts';
import { type Epoch, formatLsn, type Lsn, nextEpoch, parseLsn, toEpoch } from '../lib/position.ts';
import { UnrecoverableError } from '../lib/service.ts';
import {
  type Checkpoint,
  decideStart,
  type NewEpochReason,
  type SlotFacts,
  type StartFacts,
} from './start-decision.ts';

export type StartPoint = {
  readonly epoch: Epoch;
  readonly handled: Lsn;
  readonly mayAck: Lsn;
  readonly confirmed: Lsn;
  readonly systemIdentifier: string;
  readonly publications: readonly string[];
  /** Why positions from before no longer hold; null where they do. */
  readonly newEpoch: NewEpochReason | null;
};

export type SlotOptions = {
  readonly slot: string;
  /** The stream names the publication of this name and all that start with it and `_`; they exist before the slot does. */
  readonly publicationPrefix: string;
  /** The slot is to be given up: it holds back too much. */
  readonly isFuseBlown: boolean;
  /** Called when the slot is gone, before another one is made: that may take a while. */
  readonly onSlotLost: (reason: NewEpochReason) => void;
  /** Makes a slot that no promotion takes along one that is (from 17 on); false where that cannot be. */
  readonly enableFailover: (slot: string) => Promise<boolean>;
  readonly log: Logger;
};

/** What changes are lost with: nothing from before can be had from another slot. */
const SLOT_LOST: ReadonlySet<NewEpochReason> = new Set(['slot_missing', 'slot_lost', 'wal_fuse']);
const FAILOVER_VERSION = 170_000;

/**
 * A publication that was made anew is empty, and what is added to it before the slot is made is complete. It is
 * waited for whoever does the same just now.
 */
const PUBLISH_WATCHED = `
  begin;
  lock table realtime.channels in access share mode;
  select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('rowcast.watch', 0));
  select from realtime.reconcile_watched();
  commit`;

type ServerRow = { database: string; system_identifier: string; timeline: number; version: number };
type SlotRow = {
  database: string;
  plugin: string;
  confirmed: string | null;
  is_lost: boolean;
  is_failover: boolean;
  is_synced: boolean;
};

/** Makes the slot usable and settles the epoch. `client` is the leader's session; nothing streams yet. */
export async function prepareSlot(client: ClientBase, options: SlotOptions): Promise<StartPoint> {
  const server = await readServer(client);
  await client.query('select realtime.ensure_publications($1)', [options.publicationPrefix]);
  const facts = await readFacts(client, options, server);
  const decision = decideStart(facts);
  if (decision.kind === 'resume' || !decision.recreateSlot) await keepFailover(client, options, server);
  if (decision.kind === 'resume') return resume(client, facts, options.log);
  if (SLOT_LOST.has(decision.reason)) options.onSlotLost(decision.reason);
  if (decision.recreateSlot) {
    await client.query(PUBLISH_WATCHED);
    // Said before, not after: a start that hangs here hangs on somebody else's transaction.
    options.log.info({ slot: options.slot }, 'making the slot: waits for transactions that are open now');
    await recreateSlot(client, options.slot, facts.slot !== null, server.version);
  }
  const start = await beginEpoch(
    client,
    { ...facts, slot: await readSlot(client, options.slot, server) },
    decision.reason,
  );
  const level = decision.reason === 'first_start' ? 'info' : 'warn';
  options.log[level]({ epoch: start.epoch, reason: decision.reason, slot: options.slot }, 'a new epoch begins');
  return start;
}

// Made by hand, or before an upgrade: then a promotion would leave it behind.
async function keepFailover(client: ClientBase, options: SlotOptions, { version }: ServerRow): Promise<void> {
  const { slot, enableFailover, log } = options;
  if (version < FAILOVER_VERSION || (await readSlotRow(client, slot))?.is_failover !== false) return;
  if (await enableFailover(slot)) log.info({ slot }, 'the slot is a failover slot now');
  else log.warn({ slot }, 'the slot is no failover slot: after a promotion of a standby a new epoch begins');
}

async function readServer(client: ClientBase): Promise<ServerRow> {
  const { rows } = await client.query<ServerRow>(`
    select pg_catalog.current_database() as database,
      (select s.system_identifier::text from pg_catalog.pg_control_system() as s) as system_identifier,
      ('x' || pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8))::bit(32)::int as timeline,
      pg_catalog.current_setting('server_version_num')::int as version`);
  return must(rows[0], 'the server row');
}

async function readFacts(client: ClientBase, options: SlotOptions, server: ServerRow): Promise<StartFacts> {
  const publications = await client.query<{ pubname: string; oid: number }>(
    `select pubname, oid from pg_catalog.pg_publication
     where pubname = $1 or pg_catalog.starts_with(pubname::text, $1 || '_') order by pubname`,
    [options.publicationPrefix],
  );
  return {
    checkpoint: await readCheckpoint(client),
    slotName: options.slot,
    slot: await readSlot(client, options.slot, server),
    systemIdentifier: server.system_identifier,
    timeline: server.timeline,
    publications: Object.fromEntries(publications.rows.map((row) => [row.pubname, row.oid])),
    isFuseBlown: options.isFuseBlown,
  };
}

async function readSlotRow(client: ClientBase, slot: string): Promise<SlotRow | undefined> {
  const { rows } = await client.query<SlotRow>(
    `select s.database, s.plugin, s.confirmed_flush_lsn::text as confirmed,
       coalesce(s.wal_status = 'lost' or pg_catalog.to_jsonb(s) ->> 'invalidation_reason' is not null, false) as is_lost,
       coalesce(pg_catalog.to_jsonb(s) ->> 'failover' = 'true', false) as is_failover,
       coalesce(pg_catalog.to_jsonb(s) ->> 'synced' = 'true', false) as is_synced
     from pg_catalog.pg_replication_slots as s where s.slot_name = $1`,
    [slot],
  );
  return rows[0];
}

async function readSlot(client: ClientBase, slot: string, server: ServerRow): Promise<SlotFacts | null> {
  const row = await readSlotRow(client, slot);
  if (row === undefined) return null;
  if (row.database !== server.database || row.plugin !== 'pgoutput') {
    const whose = row.plugin === 'pgoutput' ? `belongs to database ${row.database}` : `uses the plugin ${row.plugin}`;
    throw new UnrecoverableError(`the replication slot "${slot}" ${whose}: choose another name with ROWCAST_SLOT`);
  }
  const confirmed = row.confirmed === null ? null : must(parseLsn(row.confirmed), 'an LSN');
  return { confirmed, isLost: row.is_lost, isSynced: row.is_synced };
}

async function readCheckpoint(client: ClientBase): Promise<Checkpoint | null> {
  const { rows } = await client.query(`
    select epoch::text, handled::text, may_ack::text, system_identifier, timeline, slot_name, publications::text,
      is_failover_safe
    from realtime.checkpoint`);
  const row = rows[0];
  if (row === undefined || row.epoch === null) return null;
  return {
    epoch: toEpoch(Number(row.epoch)),
    handled: must(parseLsn(row.handled), 'checkpoint.handled'),
    mayAck: must(parseLsn(row.may_ack), 'checkpoint.may_ack'),
    systemIdentifier: row.system_identifier,
    timeline: row.timeline,
    slot: row.slot_name,
    publications: JSON.parse(row.publications),
    isFailoverSafe: row.is_failover_safe,
  };
}

async function resume(client: ClientBase, facts: StartFacts, log: Logger): Promise<StartPoint> {
  const { checkpoint, slot, systemIdentifier, publications, timeline } = facts;
  const { epoch, handled, mayAck, timeline: before } = must(checkpoint, 'the checkpoint');
  if (timeline !== before) {
    await client.query('update realtime.checkpoint set timeline = $1', [timeline]);
    log.warn({ epoch, timeline }, 'a standby was promoted, and brought the slot: the epoch goes on');
  }
  const confirmed = must(slot?.confirmed, 'the confirmed LSN');
  return {
    epoch,
    handled,
    mayAck,
    confirmed,
    systemIdentifier,
    publications: Object.keys(publications),
    newEpoch: null,
  };
}

// Creating waits for the transactions that are open now; an abandoned attempt leaves nothing behind but a
// slot that the next start finds without a checkpoint, and makes anew.
async function recreateSlot(client: ClientBase, slot: string, exists: boolean, version: number): Promise<void> {
  if (exists) await client.query('select pg_catalog.pg_drop_replication_slot($1)', [slot]);
  const failover = version >= FAILOVER_VERSION ? ', failover => true' : '';
  await client.query(`select pg_catalog.pg_create_logical_replication_slot($1, 'pgoutput'${failover})`, [slot]);
}

async function beginEpoch(client: ClientBase, facts: StartFacts, reason: NewEpochReason): Promise<StartPoint> {
  const confirmed = must(facts.slot?.confirmed, 'the confirmed LSN of the new slot');
  const epoch = nextEpoch(facts.checkpoint?.epoch, Date.now() / 1000);
  await client.query(
    `update realtime.checkpoint set epoch = $1, handled = $2::pg_lsn, may_ack = $2::pg_lsn, system_identifier = $3,
       timeline = $4, slot_name = $5, publications = $6::jsonb, updated_at = pg_catalog.now()`,
    [
      epoch,
      formatLsn(confirmed),
      facts.systemIdentifier,
      facts.timeline,
      facts.slotName,
      JSON.stringify(facts.publications),
    ],
  );
  const { systemIdentifier } = facts;
  const publications = Object.keys(facts.publications);
  return { epoch, handled: confirmed, mayAck: confirmed, confirmed, systemIdentifier, publications, newEpoch: reason };
}
