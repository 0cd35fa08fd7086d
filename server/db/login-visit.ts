// Owns looking where a login leads and who one is there, by connecting once, with all settings pinned.

import type pg from 'pg';
import type { Logger } from '../lib/logger.ts';
import { openPool } from './pools.ts';
import { classifyDatabaseError, isTransient } from './sqlstate.ts';

export type Visit = {
  readonly login: string;
  /** Whom it logged in as; another one than `login` where a role is set for it. */
  readonly session: string;
  readonly database: string;
  /** Equal if and only if it is the same database of the same running server. */
  readonly place: string;
};

/** The database's words where it did not let the login in. */
export type Unvisited = { readonly message: string; readonly isPasswordWrong: boolean };

const SIGHT = `
  select current_user::text as login, session_user::text as session, current_database()::text as database,
    d.oid || ' ' || pg_postmaster_start_time() as place
  from pg_catalog.pg_database d where d.datname = current_database()`;

/** Where a connection is, and as whom. */
export async function sightOf(client: Pick<pg.ClientBase, 'query'>): Promise<Visit> {
  return (await client.query<Visit>(SIGHT)).rows[0] as Visit;
}

/** Logs in once. Rejects where trying again may help. */
export async function visit(
  url: string,
  options: { readonly connectTimeoutMs?: number | undefined; readonly log: Logger },
): Promise<Visit | Unvisited> {
  const database = openPool({
    ...options,
    connectionString: url,
    applicationName: 'rowcast policies',
    max: 1,
    statementTimeoutMs: 0,
  });
  try {
    return await sightOf(database.pool);
  } catch (error) {
    const { kind, message, sqlstate } = classifyDatabaseError(error);
    if (isTransient(kind)) throw error;
    return { message, isPasswordWrong: sqlstate === '28P01' };
  } finally {
    await database.close();
  }
}
