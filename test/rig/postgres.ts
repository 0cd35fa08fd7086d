// Owns databases for tests: which servers there are, a fresh database on one of them, and its end.
// A database that a test forgets to drop, or drops while something is still connected, fails its file.

import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { describe, inject } from 'vitest';
import { drawn, isSoak } from './scale.ts';
import type { TestServer } from './servers.ts';
import { until } from './until.ts';

export interface TestPostgres {
  /** Major version of the server. */
  readonly version: number;
  /** Login with all rights, database for administration. */
  readonly url: string;
  /**
   * A fresh database with Rowcast's schema as `STANDARD` has it, and the partitions of these days unless nothing has
   * started yet; an empty one where the server has no templates.
   */
  createMigrated(options?: { readonly hasPartitions?: boolean | undefined }): Promise<TestDatabase>;
  /** A fresh, empty database; `template` names another one of this server that nobody is connected to. */
  createDatabase(options?: CreateDatabaseOptions): Promise<TestDatabase>;
}

export type CreateDatabaseOptions = { readonly template?: string | undefined };

export interface TestDatabase extends AsyncDisposable {
  readonly name: string;
  readonly version: number;
  readonly url: string;
  /** A slot name that no other test uses; slots are shared by the databases of a server. */
  readonly slot: string;
  /** Runs one statement on a connection of its own, and returns the rows. */
  query<Row extends object = Record<string, unknown>>(sql: string, params?: readonly unknown[]): Promise<Row[]>;
  /** One more connection; close it before `drop`. */
  connect(): Promise<Client>;
  /** The same database under another login. */
  urlAs(user: string, password: string): string;
  /** Drops its slots and itself. Everything that was connected has to be closed before. Again: nothing. */
  drop(): Promise<void>;
}

/** What the leak check of the test file looks at. */
export const databaseLedger = { open: new Set<string>(), complaints: [] as string[] };

const LINGER_MS = 1_000;

/** All servers of this run, newest first. */
export function testServers(): readonly TestPostgres[] {
  return inject('testServers').map(postgresOn);
}

/** The newest server of this run, for tests that need only one. */
export function newestPostgres(): TestPostgres {
  const [newest] = testServers();
  if (!newest) throw new Error('this run has no PostgreSQL server');
  return newest;
}

/** `describe`, once for every PostgreSQL version of this run. */
export function describeEachPostgres(title: string, body: (postgres: TestPostgres) => void): void {
  for (const postgres of testServers()) describe(`${title} (PostgreSQL ${postgres.version})`, () => body(postgres));
}

/** The same on the newest version alone, for what is hardly about the database; on all of them in `npm run soak`. */
export function describeNewestPostgres(title: string, body: (postgres: TestPostgres) => void): void {
  if (isSoak) describeEachPostgres(title, body);
  else describe(title, () => body(newestPostgres()));
}

/** The same on one version, drawn by the seed; on all of them in `npm run soak`. */
export function describeDrawnPostgres(title: string, body: (postgres: TestPostgres) => void): void {
  for (const postgres of drawn(testServers(), 1)) {
    describe(`${title} (PostgreSQL ${postgres.version})`, () => body(postgres));
  }
}

/** Databases on `server`, which the caller started and stops. */
export function postgresOn(server: TestServer): TestPostgres {
  return {
    version: server.version,
    url: server.url,
    createMigrated: ({ hasPartitions = true } = {}) =>
      createDatabase(server, { template: hasPartitions ? server.templates?.started : server.templates?.migrated }),
    createDatabase: (options = {}) => createDatabase(server, options),
  };
}

async function createDatabase(server: TestServer, options: CreateDatabaseOptions): Promise<TestDatabase> {
  const name = `rig_${randomBytes(6).toString('hex')}`;
  const template = options.template ? ` template "${options.template}"` : '';
  await onServer(server, (admin) => admin.query(`create database "${name}"${template}`));
  databaseLedger.open.add(name);
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  const connection = lazyClient(url.href);
  const drop = async (): Promise<void> => {
    if (!databaseLedger.open.has(name)) return;
    await connection.end();
    await onServer(server, (admin) => dropDatabase(admin, name));
    databaseLedger.open.delete(name);
  };
  return {
    name,
    version: server.version,
    url: url.href,
    slot: `slot_${name}`,
    query: async <Row extends object>(sql: string, params: readonly unknown[] = []) => {
      const client = await connection.get();
      return (await client.query<Row>(sql, [...params])).rows;
    },
    connect: () => connect(url.href),
    urlAs: (user, password) => Object.assign(new URL(url), { username: user, password }).href,
    drop,
    [Symbol.asyncDispose]: drop,
  };
}

async function dropDatabase(admin: Client, name: string): Promise<void> {
  await lookForLeftovers(admin, name);
  await until(
    async () => {
      await admin.query(
        `select pg_terminate_backend(active_pid) from pg_replication_slots where database = $1 and active`,
        [name],
      );
      await admin.query(`select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1`, [
        name,
      ]);
      return true;
    },
    { what: `the slots of ${name} to be dropped` },
  );
  const { rows } = await admin.query<{ login: string }>(
    `select 'rowcast_policies_' || oid as login from pg_database where datname = $1`,
    [name],
  );
  await admin.query(`drop database "${name}" with (force)`);
  // Roles belong to the server: the login that Rowcast made for this database would stay.
  if (rows[0]) await admin.query(`drop role if exists ${rows[0].login}`);
}

/** Connections take a moment to leave pg_stat_activity; what stays longer was not closed. */
async function lookForLeftovers(admin: Client, name: string): Promise<void> {
  const connected = async (): Promise<string[]> => {
    const { rows } = await admin.query<{ who: string }>(
      `select coalesce(nullif(application_name, ''), usename) || ' (' || left(query, 80) || ')' as who
         from pg_stat_activity where datname = $1`,
      [name],
    );
    return rows.map(({ who }) => who);
  };
  await until(async () => (await connected()).length === 0, { timeoutMs: LINGER_MS }).catch(async () => {
    databaseLedger.complaints.push(`${name} was dropped while connected: ${(await connected()).join(', ')}`);
  });
}

async function onServer<T>(server: TestServer, work: (admin: Client) => Promise<T>): Promise<T> {
  const admin = await connect(server.url);
  try {
    return await work(admin);
  } finally {
    await admin.end();
  }
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: 'rig' });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

function lazyClient(url: string): { get(): Promise<Client>; end(): Promise<void> } {
  let client: Promise<Client> | undefined;
  return {
    get: () => {
      client ??= connect(url).then((opened) => {
        // Its server was stopped: the next query connects anew.
        opened.once('error', () => {
          client = undefined;
        });
        return opened;
      });
      return client;
    },
    end: async () => {
      const opened = client;
      client = undefined;
      if (opened) await (await opened).end();
    },
  };
}
