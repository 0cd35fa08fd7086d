// Owns a PostgreSQL of one test file alone: with settings of its own, to be stopped, killed and brought back,
// and whose WAL nobody else writes.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { PostgresSettings } from '../../scripts/embedded/cluster-folder.ts';
import { type EmbeddedDatabase, startEmbedded } from '../../scripts/embedded/start-embedded.ts';
import { postgresOn, type TestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';

export interface OwnCluster extends AsyncDisposable {
  readonly url: string;
  readonly postgres: TestPostgres;
  /** Runs one statement in the database for administration. */
  run(sql: string): Promise<void>;
  /** `pg_ctl stop -m fast` is this signal to the postmaster. Returns how long it took, in milliseconds. */
  stopFast(): Promise<number>;
  /** Kills the postmaster; its children notice and follow. */
  kill(): Promise<void>;
  /** Starts it again. */
  revive(): Promise<void>;
}

export async function startOwnCluster(settings: PostgresSettings = {}): Promise<OwnCluster> {
  const dataDir = mkdtempSync(join(tmpdir(), 'rowcast-faults-'));
  const cluster = await startEmbedded({ dataDir, settings: { fsync: false, ...settings } });
  return {
    url: cluster.url,
    postgres: postgresOn({ version: cluster.version, url: cluster.url, origin: 'embedded' }),
    run: async (sql) => {
      const client = new Client({ connectionString: cluster.url });
      await client.connect();
      await client.query(sql).finally(() => client.end());
    },
    stopFast: () => signalled(cluster, 'SIGINT'),
    kill: async () => void (await signalled(cluster, 'SIGKILL')),
    revive: async () =>
      void (await until(() => cluster.revive(), { what: 'the database to start', timeoutMs: 20_000 })),
    [Symbol.asyncDispose]: async () => {
      await cluster.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

async function signalled(cluster: EmbeddedDatabase, signal: NodeJS.Signals): Promise<number> {
  const pid = await cluster.pid();
  if (pid === undefined) throw new Error('the database does not run');
  const startedAt = performance.now();
  process.kill(pid, signal);
  await until(async () => (await cluster.pid()) === undefined, {
    what: `the database to end after ${signal}`,
    timeoutMs: 30_000,
  });
  return performance.now() - startedAt;
}
