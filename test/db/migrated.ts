// Owns migrated databases for the tests of the db room and of sql/: a fresh database with Rowcast's schema in
// it, the pool that set it up, and sessions that act as a role with claims.

import type { Client } from 'pg';
import { migrate } from '../../server/db/migrate.ts';
import { type Database, openPool } from '../../server/db/pools.ts';
import type { LogFields, Logger } from '../../server/lib/logger.ts';
import { STANDARD } from '../rig/migrated-template.ts';
import type { TestDatabase, TestPostgres } from '../rig/postgres.ts';

export type LogLine = {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly fields: LogFields;
  readonly message: string;
};

export function collectingLog(): Logger & { readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at = (level: LogLine['level']) => (fields: LogFields, message: string) =>
    void lines.push({ level, fields, message });
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

export function openTestPool(connectionString: string, log: Logger = collectingLog()): Database {
  return openPool({ connectionString, applicationName: 'test', max: 4, statementTimeoutMs: 20_000, log });
}

export type MigratedDatabase = AsyncDisposable & {
  readonly database: TestDatabase;
  readonly db: Database;
  /** One statement of the pool's login; rows by column name. */
  sql<Row extends object = Record<string, unknown>>(text: string, params?: readonly unknown[]): Promise<Row[]>;
  /** The failure of a statement: code, message, hint. Fails if it works. */
  failure(text: string): Promise<SqlFailure>;
  /** In one transaction that is rolled back: as `role` with `claims`. */
  as<T>(role: string, claims: object | null, work: (client: Client) => Promise<T>): Promise<T>;
  close(): Promise<void>;
};

export type SqlFailure = { readonly code: string; readonly message: string; readonly hint: string | undefined };

/** A fresh database of `postgres`, migrated as its superuser, without partitions. */
export async function migratedDatabase(postgres: TestPostgres): Promise<MigratedDatabase> {
  const database = await postgres.createMigrated({ hasPartitions: false });
  const db = openTestPool(database.url);
  const result = await migrate({ pool: db.pool, log: collectingLog(), ...STANDARD });
  if (!result.ok) throw new Error(result.message);
  const close = async (): Promise<void> => {
    await db.close();
    await database.drop();
  };
  return {
    database,
    db,
    sql: async <Row extends object>(text: string, params: readonly unknown[] = []) =>
      (await db.pool.query<Row>(text, [...params])).rows,
    failure: (text) => failureOf(db.pool.query(text)),
    as: (role, claims, work) => actAs(database, role, claims, work),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** What `work` is refused with; fails if it is not. */
export async function failureOf(work: Promise<unknown>): Promise<SqlFailure> {
  try {
    await work;
  } catch (error) {
    const { code, message, hint } = error as { code: string; message: string; hint?: string };
    return { code, message, hint };
  }
  throw new Error('expected a failure, but it worked');
}

async function actAs<T>(
  database: TestDatabase,
  role: string,
  claims: object | null,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await database.connect();
  try {
    await client.query('begin');
    if (claims) await client.query(`select set_config('request.jwt.claims', $1, true)`, [JSON.stringify(claims)]);
    await client.query(`set local role "${role}"`);
    return await work(client);
  } finally {
    await client.query('rollback').catch(() => undefined);
    await client.end();
  }
}
