// Owns a database of a case: made on the given server, dropped with its slot afterwards. `prepare` makes it
// Rowcast's (migrated, the table watched); a baseline makes of it what it needs.

import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { migrate } from '../server/db/migrate.ts';
import { settlePolicyLogin } from '../server/db/policy-login.ts';
import { openPool } from '../server/db/pools.ts';
import { SILENT } from './silent.ts';

export type BenchDatabase = AsyncDisposable & {
  readonly url: string;
  /** A slot name that is free; dropped with the database. */
  readonly slot: string;
  /** Runs one statement (or several, without parameters) on the case's own connection. */
  query<Row extends object = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<Row[]>;
};

export const PUBLICATION = 'rowcast';
const SLOT_RELEASE_MS = 10_000;

/** Creates a database on the server at `serverUrl`. */
export async function createBenchDatabase(serverUrl: string): Promise<BenchDatabase> {
  const name = `bench_${randomBytes(5).toString('hex')}`;
  await withClient(serverUrl, (admin) => admin.query(`create database ${name}`));
  const url = Object.assign(new URL(serverUrl), { pathname: `/${name}` }).href;
  const slot = `slot_${name}`;
  const client = await connect(url);
  return {
    url,
    slot,
    query: async <Row extends object>(sql: string, params?: readonly unknown[]) =>
      (await (params === undefined ? client.query<Row>(sql) : client.query<Row>(sql, [...params]))).rows,
    [Symbol.asyncDispose]: async () => {
      await client.end();
      await withClient(serverUrl, (admin) => drop(admin, name, slot));
    },
  };
}

/** Makes the database one that Rowcast can serve; returns how to log in for policies. */
export async function migrateBenchDatabase(database: BenchDatabase): Promise<string> {
  const opened = openPool({
    connectionString: database.url,
    applicationName: 'bench',
    max: 1,
    statementTimeoutMs: 0,
    log: SILENT,
  });
  const { pool } = opened;
  const log = SILENT;
  const roles = ['anon', 'authenticated'];
  try {
    const adminRoles = ['service_role'];
    const result = await migrate({ pool, publicationPrefix: PUBLICATION, appRoles: roles, adminRoles, log });
    if (!result.ok) throw new Error(result.message);
    const databaseUrl = database.url;
    const settled = await settlePolicyLogin({ pool, databaseUrl, policyUrl: undefined, roles, log });
    if (!settled.ok) throw new Error(settled.message);
    return settled.url;
  } finally {
    await opened.close();
  }
}

/** A connection of its own; whoever asks ends it. */
export async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: 'bench' });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

async function withClient(url: string, work: (client: Client) => Promise<unknown>): Promise<void> {
  const client = await connect(url);
  try {
    await work(client);
  } finally {
    await client.end();
  }
}

async function drop(admin: Client, name: string, slot: string): Promise<void> {
  const deadline = performance.now() + SLOT_RELEASE_MS;
  for (;;) {
    const { rows } = await admin.query<{ active: boolean }>(
      'select active from pg_replication_slots where slot_name = $1',
      [slot],
    );
    if (rows[0] === undefined) break;
    if (!rows[0].active) await admin.query('select pg_drop_replication_slot($1)', [slot]);
    else if (performance.now() > deadline) throw new Error(`the slot ${slot} is still read`);
    else await sleep(50);
  }
  const { rows } = await admin.query<{ login: string }>(
    `select 'rowcast_policies_' || oid as login from pg_database where datname = $1`,
    [name],
  );
  await admin.query(`drop database ${name} with (force)`);
  if (rows[0]) await admin.query(`drop role if exists ${rows[0].login}`);
}
