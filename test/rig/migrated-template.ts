// Owns one migrated database on each server of a run, never connected to, from which tests copy theirs: that costs a
// fifth of migrating each one anew. Tests of the migration itself begin with an empty database.

import { Client } from 'pg';
import { migrate } from '../../server/db/migrate.ts';
import { openPool } from '../../server/db/pools.ts';
import type { Logger } from '../../server/lib/logger.ts';
import type { TestServer } from './servers.ts';

const NAME = 'rig_migrated';
const QUIET: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** What it was migrated with: the defaults. */
export const STANDARD = {
  publicationPrefix: 'rowcast',
  appRoles: ['anon', 'authenticated'],
  adminRoles: ['service_role', 'project_admin'],
} as const;

/** Makes the template on `server`; returns the server with its name. */
export async function withMigratedTemplate(server: TestServer): Promise<TestServer> {
  await dropMigratedTemplate(server);
  await onServer(server, `create database ${NAME}`);
  const url = new URL(server.url);
  url.pathname = `/${NAME}`;
  const options = { connectionString: url.href, applicationName: 'rig template', max: 1, statementTimeoutMs: 0 };
  const { pool, close } = openPool({ ...options, log: QUIET });
  try {
    const result = await migrate({ pool, log: QUIET, ...STANDARD });
    if (!result.ok) throw new Error(result.message);
  } finally {
    await close();
  }
  return { ...server, migratedTemplate: NAME };
}

export function dropMigratedTemplate(server: TestServer): Promise<void> {
  return onServer(server, `drop database if exists ${NAME} with (force)`);
}

async function onServer({ url }: TestServer, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  await client.query(sql).finally(() => client.end());
}
