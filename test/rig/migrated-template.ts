// Owns the migrated databases on each server of a run, never connected to, from which tests copy theirs: that costs a
// fifth of migrating each one anew. One is as migrations leave it, the other as the first start of a server does, with the
// partitions of these days. Tests of the migration itself begin with an empty database.

import { Client, type Pool } from 'pg';
import { migrate } from '../../server/db/migrate.ts';
import { openPool } from '../../server/db/pools.ts';
import type { Logger } from '../../server/lib/logger.ts';
import { DAYS_AHEAD } from '../../server/messages/history-partitions.ts';
import type { TestServer } from './servers.ts';

const NAMES = { migrated: 'rig_migrated', started: 'rig_started' } as const;
const QUIET: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** What it was migrated with: the defaults. */
export const STANDARD = {
  publicationPrefix: 'rowcast',
  appRoles: ['anon', 'authenticated'],
  adminRoles: ['service_role', 'project_admin'],
} as const;

/** Makes the templates on `server`; returns the server with their names. */
export async function withMigratedTemplates(server: TestServer): Promise<TestServer> {
  await dropMigratedTemplates(server);
  await onServer(server, `create database ${NAMES.migrated}`);
  await within(server, NAMES.migrated, migrateStandard);
  await onServer(server, `create database ${NAMES.started} template ${NAMES.migrated}`);
  await within(server, NAMES.started, async (pool) => {
    await pool.query(
      `select realtime.make_partition(m.parent, m.day) from realtime.missing_partitions(${DAYS_AHEAD}) as m`,
    );
  });
  return { ...server, templates: NAMES };
}

export async function dropMigratedTemplates(server: TestServer): Promise<void> {
  for (const name of Object.values(NAMES)) await onServer(server, `drop database if exists ${name} with (force)`);
}

async function migrateStandard(pool: Pool): Promise<void> {
  const result = await migrate({ pool, log: QUIET, ...STANDARD });
  if (!result.ok) throw new Error(result.message);
}

async function within(server: TestServer, name: string, work: (pool: Pool) => Promise<void>): Promise<void> {
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  const options = { connectionString: url.href, applicationName: 'rig template', max: 1, statementTimeoutMs: 0 };
  const { pool, close } = openPool({ ...options, log: QUIET });
  await work(pool).finally(close);
}

async function onServer({ url }: TestServer, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}
