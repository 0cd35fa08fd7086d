// Owns the opening and closing of SQL connection pools: pinned settings verified on every new connection,
// exact value types, timeouts, and idle connections that may break without taking the process down.
// What runs on them is the business of the rooms that are given one.

import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { parseIntoClientConfig } from 'pg-connection-string';
import type { Logger } from '../lib/logger.ts';
import type { DatabaseTables } from './schema.ts';
import { describeMismatches, startupOptions, type Unpinned, verifySessionSettings } from './session-settings.ts';
import { classifyDatabaseError } from './sqlstate.ts';
import { valueTypes } from './value-types.ts';

export type PoolOptions = {
  readonly connectionString: string;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  /** Connections at most; further takers wait up to `connectTimeoutMs`. */
  readonly max: number;
  /** 0 = none. */
  readonly statementTimeoutMs: number;
  /** After so long without an answer the link is taken to be dead, and a statement fails. Default: never. */
  readonly answerWithinMs?: number | undefined;
  readonly log: Logger;
  /** Waiting for a free or new connection. Default 10 s. */
  readonly connectTimeoutMs?: number | undefined;
  /** Default 60 s; 0 = none. */
  readonly idleInTransactionTimeoutMs?: number | undefined;
  /** Further session settings of this pool, e.g. `{ synchronous_commit: 'on' }`. */
  readonly settings?: Readonly<Record<string, string>> | undefined;
  /** Pinned settings that are left to the database here. */
  readonly unpinned?: Unpinned | undefined;
};

export type Database = {
  readonly pool: pg.Pool;
  readonly kysely: Kysely<DatabaseTables>;
  /** Waits for connections in use, then ends all. Safe to call twice. */
  close(): Promise<void>;
};

/** Opens a pool; connects lazily. A connection whose settings could not be pinned is refused to its taker with an Error. */
export function openPool(options: PoolOptions): Database {
  const pool = new pg.Pool({
    ...clientConfig(options),
    max: options.max,
    // The connection is thrown away by whoever gets the failure, as after any other.
    query_timeout: options.answerWithinMs,
    onConnect: (client) => pinned(client, options.unpinned),
  });
  pool.on('error', (error) => {
    const { kind, sqlstate, message } = classifyDatabaseError(error);
    options.log.warn({ pool: options.applicationName, kind, sqlstate, reason: message }, 'idle connection lost');
  });
  const kysely = new Kysely<DatabaseTables>({ dialect: new PostgresDialect({ pool }) });
  let closing: Promise<void> | undefined;
  return { pool, kysely, close: () => (closing ??= pool.end()) };
}

/** The client config under `openPool`, for connections that live outside a pool (journal, snapshots). */
export function clientConfig(options: Omit<PoolOptions, 'log' | 'max'>): pg.ClientConfig {
  const parsed = parseIntoClientConfig(options.connectionString);
  // Also where they are 0, which pg would leave out: a database or a login may have timeouts of its own.
  const timeouts = {
    statement_timeout: String(options.statementTimeoutMs),
    idle_in_transaction_session_timeout: String(options.idleInTransactionTimeoutMs ?? 60_000),
  };
  const own = startupOptions({ ...timeouts, ...options.settings }, options.unpinned);
  return {
    ...parsed,
    options: parsed.options === undefined ? own : `${parsed.options} ${own}`,
    application_name: options.applicationName,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
    keepAlive: true,
    types: valueTypes,
  };
}

/** Verifies the pinned settings of a connected client. Throws with the list of those that differ. */
export async function pinned(client: pg.ClientBase, unpinned: Unpinned = []): Promise<void> {
  // A connection that breaks while it is checked out rejects its query; the event must have a listener as well.
  client.on('error', () => undefined);
  const mismatches = await verifySessionSettings(async (sql) => (await client.query(sql)).rows, unpinned);
  if (mismatches.length > 0) throw new Error(describeMismatches(mismatches));
}
