// Owns the findings about replication itself: free slots and senders, our slot and what it holds back, our
// publications, and whether a replication connection really works.

import type { Client, ClientConfig } from 'pg';
import type { Config } from '../../server/config/config.ts';
import { type Finding, quoteName } from './finding.ts';

type Capacity = { max_slots: number; slots: number; max_senders: number; senders: number };
/** node-postgres passes it on; its types leave it out. */
type ReplicationClientConfig = ClientConfig & { readonly replication?: 'database' };
type SlotFacts = {
  database: string | null;
  here: boolean;
  plugin: string;
  active: boolean;
  is_lost: boolean;
  retained: string | null;
  /** Null before 17. */
  failover: boolean | null;
};

const NAMES = ['', '_inserts', '_messages'];

/** `connect` opens one more connection with the given settings. */
export async function slotFindings(
  client: Client,
  config: Config,
  connect: (settings: ReplicationClientConfig) => Promise<Client>,
): Promise<Finding[]> {
  const slot = await readSlot(client, config.replication.slot);
  return [
    ...(await judgeCapacity(client, slot !== undefined)),
    judgeSlot(slot, config),
    ...judgeFailover(slot, config.replication.slot),
    ...(await judgePublications(client, config.replication.publication)),
    ...(await judgeNarrowed(client, config.replication.publication)),
    await judgeReplicationConnection(connect),
  ];
}

async function readSlot(client: Client, name: string): Promise<SlotFacts | undefined> {
  const { rows } = await client.query<SlotFacts>(
    `select s.database::text, s.database = current_database() as here, s.plugin::text, s.active,
       coalesce(s.wal_status = 'lost' or to_jsonb(s) ->> 'invalidation_reason' is not null, false) as is_lost,
       (to_jsonb(s) ->> 'failover')::boolean as failover,
       case when not pg_is_in_recovery() then pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn)::text end as retained
     from pg_replication_slots s where s.slot_name = $1`,
    [name],
  );
  return rows[0];
}

async function judgeCapacity(client: Client, haveSlot: boolean): Promise<Finding[]> {
  const { rows } = await client.query<Capacity>(`
    select current_setting('max_replication_slots')::int as max_slots, current_setting('max_wal_senders')::int as max_senders,
      (select count(*)::int from pg_replication_slots) as slots,
      (select count(*)::int from pg_stat_replication) as senders`);
  const { max_slots, slots, max_senders, senders } = rows[0] as Capacity;
  return [
    capacity('max_replication_slots', max_slots, slots, haveSlot ? 0 : 1),
    capacity('max_wal_senders', max_senders, senders, haveSlot ? 0 : 1),
  ];
}

function capacity(topic: string, max: number, used: number, needed: number): Finding {
  const message = `${max - used} of ${max} free`;
  if (max - used >= needed) return { level: 'ok', topic, message };
  return {
    level: 'problem',
    topic,
    message: `${message}, and Rowcast needs one`,
    remedy: 'raise it and restart PostgreSQL, or drop a slot that nobody reads (select * from pg_replication_slots)',
    sql: [`alter system set ${topic} = ${max + 5};`],
  };
}

function judgeSlot(slot: SlotFacts | undefined, config: Config): Finding {
  const name = config.replication.slot;
  const topic = `slot ${name}`;
  if (!slot) return { level: 'note', topic, message: 'does not exist yet; the first start makes it' };
  if (!slot.here || slot.plugin !== 'pgoutput') {
    const message = slot.here ? `is read by the plugin ${slot.plugin}` : `belongs to the database ${slot.database}`;
    return { level: 'problem', topic, message, remedy: 'choose another name with ROWCAST_SLOT' };
  }
  if (slot.is_lost) {
    const message = 'is lost: PostgreSQL invalidated it, mostly because it held back more WAL than it may';
    const remedy =
      'start the server: it makes a new one and tells every client of the gap; raise max_slot_wal_keep_size';
    return { level: 'warning', topic, message, remedy };
  }
  const retained = Number(slot.retained ?? 0);
  const held = `${slot.active ? 'active' : 'not read by anybody'}, holds back ${Math.round(retained / 1024 ** 2)} MiB of WAL`;
  if (retained < config.replication.maxRetainedWalBytes / 2) return { level: 'ok', topic, message: held };
  const remedy = slot.active
    ? 'see why the server falls behind (GET /readyz)'
    : 'start the server, or run npm run teardown';
  return { level: 'warning', topic, message: held, remedy };
}

// Only a server that starts can change it: the slot is in use, and SQL has no statement for it.
function judgeFailover(slot: SlotFacts | undefined, name: string): Finding[] {
  if (slot?.failover !== false || slot.is_lost) return [];
  return [
    {
      level: 'note',
      topic: `slot ${name}`,
      message: 'is no failover slot: after a promotion of a standby a new epoch begins',
      remedy: 'restart the server, which switches it on where the database allows it (docs/operations.md)',
    },
  ];
}

async function judgeNarrowed(client: Client, prefix: string): Promise<Finding[]> {
  const { rows } = await client.query<{ publication: string; relation: string }>(
    `select p.pubname::text as publication, r.prrelid::regclass::text as relation
     from pg_publication_rel r join pg_publication p on p.oid = r.prpubid
     where p.pubname = any ($1) and (r.prqual is not null or r.prattrs is not null) order by 1, 2`,
    [NAMES.map((suffix) => prefix + suffix)],
  );
  return rows.map(({ publication, relation }) => ({
    level: 'warning',
    topic: `publication ${publication}`,
    message: `has a row filter or a column list for ${relation}: what it leaves out does not come`,
    remedy: 'take the table out; the server puts it back whole',
    sql: [`alter publication ${quoteName(publication)} drop table ${relation};`],
  }));
}

async function judgePublications(client: Client, prefix: string): Promise<Finding[]> {
  const names = NAMES.map((suffix) => prefix + suffix);
  const { rows } = await client.query<{ name: string; owned: boolean; owner: string }>(
    `select p.pubname::text as name, pg_has_role(p.pubowner, 'USAGE') as owned, p.pubowner::regrole::text as owner
     from pg_publication p where p.pubname = any ($1) order by p.pubname`,
    [names],
  );
  const missing = names.filter((name) => !rows.some((row) => row.name === name));
  const findings: Finding[] = rows
    .filter(({ owned }) => !owned)
    .map(({ name, owner }) => ({
      level: 'warning',
      topic: `publication ${name}`,
      message: `belongs to ${owner}, so the login cannot add tables to it`,
      remedy: 'watch tables as its owner, or run as a superuser',
      sql: [`grant ${owner} to current_user; -- or: alter publication ${quoteName(name)} owner to <login>;`],
    }));
  if (missing.length === names.length) {
    findings.push({ level: 'note', topic: 'publications', message: 'do not exist yet; the first start makes them' });
  } else if (missing.length > 0) {
    const remedy = 'start the server: it makes them, and a new slot and epoch with them';
    findings.push({ level: 'warning', topic: 'publications', message: `${missing.join(', ')} missing`, remedy });
  } else findings.push({ level: 'ok', topic: 'publications', message: names.join(', ') });
  return findings;
}

/** The proof: rights, pg_hba.conf and what lies in between, in one. */
async function judgeReplicationConnection(
  connect: (settings: ReplicationClientConfig) => Promise<Client>,
): Promise<Finding> {
  const topic = 'replication connection';
  try {
    const client = await connect({ replication: 'database' });
    await client.query('IDENTIFY_SYSTEM');
    return { level: 'ok', topic, message: 'works' };
  } catch (error) {
    return {
      level: 'problem',
      topic,
      message: `is refused: ${(error as Error).message}`,
      remedy: 'give the login REPLICATION, let pg_hba.conf admit it, and connect without a pooler',
    };
  }
}
