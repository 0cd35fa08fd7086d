// Owns which PostgreSQL servers a test run uses: TEST_DATABASE_URL if set (with max_prepared_transactions above 0); else containers if a Docker
// engine answers; else the embedded builds of 18 and 15, in a folder of their own that is removed
// afterwards, also after a run that was killed.

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import type { PostgresSettings } from '../../scripts/embedded/cluster-folder.ts';
import { isAlive, readLockFile } from '../../scripts/embedded/postmaster.ts';
import { startEmbedded } from '../../scripts/embedded/start-embedded.ts';

export type TestServer = {
  /** Major version. */
  readonly version: number;
  /** Superuser (or the external login), database for administration. */
  readonly url: string;
  readonly origin: 'embedded' | 'container' | 'external';
  /** A database with Rowcast's schema to copy from, where there is one. */
  readonly templates?: { readonly migrated: string; readonly started: string } | undefined;
};
export type RunningServers = { readonly servers: readonly TestServer[]; stop(): Promise<void> };

const FOLDER_PREFIX = 'rowcast-rig-';
const CONTAINER_USER = 'postgres';
const CONTAINER_PASSWORD = 'rig';

/** Fast and forgetful: what a test cluster may leave out. */
export const TEST_SETTINGS: PostgresSettings = {
  fsync: false,
  full_page_writes: false,
  max_connections: 200,
  max_prepared_transactions: 10,
  max_replication_slots: 60,
  max_wal_senders: 60,
  shared_buffers: '64MB',
  max_wal_size: '2GB',
};

/** Starts what this run needs. `say` gets one line about a way that was not taken. */
export async function startServers(say: (line: string) => void): Promise<RunningServers> {
  const external = process.env.TEST_DATABASE_URL;
  if (external) return { servers: [await externalServer(external)], stop: async () => undefined };
  if (!(await dockerAnswers())) say('containers: skipped, no Docker engine answers; using the embedded PostgreSQL');
  else {
    try {
      return await startContainers();
    } catch (error) {
      say(`containers: skipped, ${(error as Error).message}; using the embedded PostgreSQL`);
    }
  }
  return startEmbeddedServers();
}

async function externalServer(url: string): Promise<TestServer> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ version: number }>(
      `select current_setting('server_version_num')::int / 10000 as version`,
    );
    return { version: rows[0]?.version ?? 0, url, origin: 'external' };
  } finally {
    await client.end();
  }
}

async function startEmbeddedServers(): Promise<RunningServers> {
  await sweepKilledRuns();
  const dataDir = await mkdtemp(join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`));
  const databases = await Promise.all(
    ([18, 15] as const).map((version) => startEmbedded({ dataDir, version, settings: TEST_SETTINGS })),
  );
  return {
    servers: databases.map(({ version, url }) => ({ version, url, origin: 'embedded' })),
    stop: async () => {
      await Promise.all(databases.map((database) => database.stop()));
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Ends and removes the clusters of runs whose process is gone. */
async function sweepKilledRuns(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    const pid = Number.parseInt(name.slice(FOLDER_PREFIX.length), 10);
    if (!name.startsWith(FOLDER_PREFIX) || !(pid > 0) || isAlive(pid)) continue;
    const folder = join(tmpdir(), name);
    for (const state of await readdir(folder).catch(() => [])) {
      const lock = await readLockFile(join(folder, state, 'data'));
      if (lock.state === 'alive') process.kill(lock.postmaster.pid, 'SIGQUIT');
    }
    await rm(folder, { recursive: true, force: true, maxRetries: 5 }).catch(() => undefined);
  }
}

/** Whether a Docker engine answers on its socket within a second. */
function dockerAnswers(): Promise<boolean> {
  const host = process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock';
  if (!host.startsWith('unix://')) return Promise.resolve(true);
  return new Promise((resolve) => {
    const ping = request({ socketPath: host.slice('unix://'.length), path: '/_ping', timeout: 1_000 }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    ping.on('timeout', () => ping.destroy(new Error('timeout')));
    ping.on('error', () => resolve(false));
    ping.end();
  });
}

async function startContainers(): Promise<RunningServers> {
  const { GenericContainer, Wait } = await import('testcontainers');
  const settings = Object.entries({ ...TEST_SETTINGS, wal_level: 'logical' });
  const containers = await Promise.all(
    [18, 15].map(async (version) => {
      const container = await new GenericContainer(`postgres:${version}`)
        .withEnvironment({ POSTGRES_PASSWORD: CONTAINER_PASSWORD })
        .withCommand(settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]))
        .withExposedPorts(5432)
        .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
        .start();
      const address = `${container.getHost()}:${container.getMappedPort(5432)}`;
      const url = `postgres://${CONTAINER_USER}:${CONTAINER_PASSWORD}@${address}/postgres`;
      return { container, server: { version, url, origin: 'container' as const } };
    }),
  );
  return {
    servers: containers.map(({ server }) => server),
    stop: async () => {
      await Promise.all(containers.map(({ container }) => container.stop()));
    },
  };
}
