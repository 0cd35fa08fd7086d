// Owns the findings about the PostgreSQL server itself and the way to it: version, WAL level, settings that
// cost freshness or safety, a pooler in between, encryption, the clock.

import type { Client } from 'pg';
import type { Finding } from './finding.ts';

type ServerFacts = {
  version: number;
  standby: boolean;
  wal_level: string;
  synchronous_commit: string;
  wal_writer_delay: string;
  slot_keep: string;
  backend_pid: number;
  encrypted: boolean;
  local: boolean;
  commit_off_for: string[];
};

const OLDEST_MAJOR = 15;
/** The first minor release in which row security cannot be got round by CVE-2024-10976 or CVE-2025-8713. */
const SAFE_MINOR: Readonly<Record<number, number>> = { 15: 14, 16: 10, 17: 6, 18: 0 };
const MAX_SKEW_MS = 2_000;

/** `client` has to be connected as the server would be. */
export async function serverFindings(client: Client): Promise<Finding[]> {
  const facts = await readFacts(client);
  return [
    judgeVersion(facts.version),
    judgeWalLevel(facts),
    ...judgeStandby(facts),
    ...judgeCommit(facts),
    ...judgeWalLimit(facts),
    judgePooler(client, facts),
    ...judgeEncryption(facts),
    await judgeClock(client),
  ];
}

async function readFacts(client: Client): Promise<ServerFacts> {
  const { rows } = await client.query<ServerFacts>(`
    select current_setting('server_version_num')::int as version, pg_is_in_recovery() as standby,
      current_setting('wal_level') as wal_level, current_setting('synchronous_commit') as synchronous_commit,
      current_setting('wal_writer_delay') as wal_writer_delay,
      current_setting('max_slot_wal_keep_size') as slot_keep, pg_backend_pid() as backend_pid,
      coalesce((select s.ssl from pg_stat_ssl s where s.pid = pg_backend_pid()), false) as encrypted,
      coalesce(inet_client_addr() <<= any (array['127.0.0.0/8', '::1/128']::inet[]), true) as local,
      (select coalesce(array_agg(coalesce(r.rolname::text, 'every login')), '{}')
         from pg_db_role_setting s left join pg_roles r on r.oid = s.setrole,
              unnest(s.setconfig) c (entry)
        where s.setdatabase in (0, (select oid from pg_database where datname = current_database()))
          and c.entry = 'synchronous_commit=off') as commit_off_for`);
  return rows[0] as ServerFacts;
}

function judgeVersion(version: number): Finding {
  const topic = 'version';
  const major = Math.floor(version / 10_000);
  const minor = version % 10_000;
  const message = `PostgreSQL ${major}.${minor}`;
  if (major < OLDEST_MAJOR) {
    return { level: 'problem', topic, message: `${message} is too old`, remedy: `upgrade to ${OLDEST_MAJOR} or newer` };
  }
  const safe = SAFE_MINOR[major] ?? 0;
  if (minor >= safe) return { level: 'ok', topic, message };
  return {
    level: 'warning',
    topic,
    message: `${message} lets logins get round row security (CVE-2024-10976, CVE-2025-8713)`,
    remedy: `install the latest minor release, ${major}.${safe} at least; a restart is enough`,
  };
}

function judgeWalLevel({ wal_level }: ServerFacts): Finding {
  if (wal_level === 'logical') return { level: 'ok', topic: 'wal_level', message: 'logical' };
  return {
    level: 'problem',
    topic: 'wal_level',
    message: `is ${wal_level}, so no change can be decoded`,
    remedy:
      'set it and restart PostgreSQL (Amazon RDS: parameter rds.logical_replication = 1; Cloud SQL: flag cloudsql.logical_decoding = on)',
    sql: [`alter system set wal_level = 'logical';`],
  };
}

function judgeStandby({ standby }: ServerFacts): Finding[] {
  if (!standby) return [];
  const remedy = 'point DATABASE_URL to the primary';
  return [{ level: 'problem', topic: 'standby', message: 'this server is a read-only standby', remedy }];
}

function judgeCommit({ synchronous_commit, wal_writer_delay, commit_off_for }: ServerFacts): Finding[] {
  const off = synchronous_commit === 'off' ? ['this login', ...commit_off_for] : commit_off_for;
  if (off.length === 0) return [];
  return [
    {
      level: 'note',
      topic: 'synchronous_commit',
      message: `is off for ${[...new Set(off)].join(', ')}: their changes arrive up to wal_writer_delay (${wal_writer_delay}) late`,
      remedy: 'nothing, if that is soon enough; else a smaller wal_writer_delay, or on for these writers',
    },
  ];
}

function judgeWalLimit({ slot_keep }: ServerFacts): Finding[] {
  if (slot_keep !== '-1') return [{ level: 'ok', topic: 'max_slot_wal_keep_size', message: slot_keep }];
  return [
    {
      level: 'note',
      topic: 'max_slot_wal_keep_size',
      message: 'is unlimited: while Rowcast is stopped its slot holds back all WAL, and the disk can fill',
      remedy: 'set a limit that the disk can bear, and run `npm run teardown` before you leave Rowcast for good',
      sql: [`alter system set max_slot_wal_keep_size = '16GB';`, 'select pg_reload_conf();'],
    },
  ];
}

/** A pooler makes up the key for cancelling, so the process id in it is not that of the backend. */
function judgePooler(client: Client, { backend_pid }: ServerFacts): Finding {
  const { processID } = client as unknown as { processID: number | null };
  if (processID === backend_pid) return { level: 'ok', topic: 'connection', message: 'direct, no pooler in between' };
  return {
    level: 'problem',
    topic: 'connection',
    message:
      'goes through a connection pooler (such as PgBouncer), which carries neither replication nor session settings',
    remedy: 'let DATABASE_URL name the server itself; many hosters give a "direct" address with port 5432',
  };
}

function judgeEncryption({ encrypted, local }: ServerFacts): Finding[] {
  if (encrypted || local) return [];
  const remedy = 'append ?sslmode=verify-full to DATABASE_URL, unless the network between is trusted';
  return [{ level: 'note', topic: 'encryption', message: 'the connection is not encrypted', remedy }];
}

async function judgeClock(client: Client): Promise<Finding> {
  const before = Date.now();
  const { rows } = await client.query<{ now: string }>(
    `select (extract(epoch from clock_timestamp()) * 1000)::text as now`,
  );
  const skewMs = Math.round(Number(rows[0]?.now) - (before + Date.now()) / 2);
  if (Math.abs(skewMs) <= MAX_SKEW_MS)
    return { level: 'ok', topic: 'clock', message: `differs by ${Math.abs(skewMs)} ms` };
  return {
    level: 'warning',
    topic: 'clock',
    message: `the database's clock is ${Math.abs(skewMs)} ms ${skewMs > 0 ? 'ahead' : 'behind'}: tokens end early or late`,
    remedy: 'let both machines follow the same time servers (NTP)',
  };
}
