// Owns a primary and its hot standby of one test: a cold copy that follows by streaming replication, with failover
// slots synchronized. The primary can be killed and the standby promoted.

import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { PostgresSettings } from '../../scripts/embedded/cluster-folder.ts';
import { type EmbeddedDatabase, startEmbedded } from '../../scripts/embedded/start-embedded.ts';
import { postgresOn, type TestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';

export interface StandbyPair extends AsyncDisposable {
  /** The primary. */
  readonly postgres: TestPostgres;
  readonly standbyPort: number;
  /** One statement on the standby, in `database`. */
  onStandby<Row extends object>(sql: string, database: string): Promise<Row[]>;
  /** Kills the primary at once, and promotes the standby; resolves when it takes writes. */
  failOver(): Promise<void>;
}

const SLOT = 'standby';
const STATE_FOLDER = 'postgres18';
const BASE: PostgresSettings = { fsync: false, max_wal_size: '1GB', wal_receiver_status_interval: '1s' };

/** `isWaitedFor`: nothing is sent to a logical client before the standby has it (synchronized_standby_slots). */
export async function startStandbyPair(isWaitedFor: boolean): Promise<StandbyPair> {
  const folders = [0, 1].map(() => mkdtempSync(join(tmpdir(), 'rowcast-faults-'))) as [string, string];
  await makeCopies(folders);
  const waiting: PostgresSettings = isWaitedFor ? { synchronized_standby_slots: SLOT } : {};
  const primary = await startEmbedded({ dataDir: folders[0], settings: { ...BASE, ...waiting } });
  const standby = await startEmbedded({ dataDir: folders[1], settings: { ...BASE, ...following(primary) } });
  return {
    postgres: postgresOn({ version: primary.version, url: primary.url, origin: 'embedded' }),
    standbyPort: standby.port,
    onStandby: (sql, database) => query(Object.assign(new URL(standby.url), { pathname: database }).href, sql),
    failOver: async () => {
      await killed(primary);
      await query(standby.url, 'select pg_promote()');
    },
    [Symbol.asyncDispose]: async () => {
      await standby.stop();
      await primary.stop();
      for (const folder of folders) rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function makeCopies([primaryDir, standbyDir]: readonly [string, string]): Promise<void> {
  const primary = await startEmbedded({ dataDir: primaryDir, settings: BASE });
  await query(primary.url, `select pg_create_physical_replication_slot('${SLOT}')`);
  await primary.stop();
  cpSync(join(primaryDir, STATE_FOLDER), join(standbyDir, STATE_FOLDER), { recursive: true });
  writeFileSync(join(standbyDir, STATE_FOLDER, 'data/standby.signal'), '', { mode: 0o600 });
}

/** The settings of a standby of `primary` that brings its failover slots along. */
function following(primary: EmbeddedDatabase): PostgresSettings {
  const { hostname, port, username, password, pathname } = new URL(primary.url);
  const where = `host=${hostname} port=${port} user=${username} password=${password} dbname=${pathname.slice(1)}`;
  return {
    primary_conninfo: where,
    primary_slot_name: SLOT,
    hot_standby_feedback: true,
    sync_replication_slots: true,
  };
}

async function killed(cluster: EmbeddedDatabase): Promise<void> {
  const pid = await cluster.pid();
  if (pid === undefined) throw new Error('the primary does not run');
  process.kill(pid, 'SIGKILL');
  await until(async () => (await cluster.pid()) === undefined, { what: 'the primary to end' });
}

async function query<Row extends object>(url: string, sql: string): Promise<Row[]> {
  const client = new Client({ connectionString: url, application_name: 'rig' });
  await client.connect();
  return client
    .query<Row>(sql)
    .then(({ rows }) => rows)
    .finally(() => client.end());
}
