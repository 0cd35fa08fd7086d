// Owns the transaction that runs as someone else: under a role of the allow-list, with the token's claims, so
// that the user's own policies judge. Role and claims end with the transaction; the claims fall back to '{}'
// (session-settings.ts), never to ''.

import type pg from 'pg';

export type ClaimsTransactionOptions = {
  readonly pool: pg.Pool;
  readonly role: string;
  /** Roles that may be taken at all (ROWCAST_ROLES). */
  readonly allowedRoles: readonly string[];
  /** Set as request.jwt.claims, whole. */
  readonly claims: Readonly<Record<string, unknown>>;
  readonly readOnly?: boolean | undefined;
  /** For each statement; without it the pool's. */
  readonly statementTimeoutMs?: number | undefined;
  /** What realtime.channel_name() answers. */
  readonly channelName?: string | undefined;
};

export type ClaimsTransactionResult<T> =
  | { readonly ok: true; readonly value: T }
  /** Not in the allow-list, or no such role in this database. */
  | { readonly ok: false; readonly reason: 'unknown_role' };

// One round trip: the role is looked up and set by its row, so a name is never put into SQL text, and the
// magic word none, which would give back the login's own rights, cannot match.
const ENTER = `
  select set_config('request.jwt.claims', $2, true), set_config('realtime.channel_name', $3, true),
         set_config('statement_timeout', coalesce($4, current_setting('statement_timeout')), true),
         set_config('role', r.rolname, true)
  from pg_catalog.pg_roles r
  where r.rolname = $1 and r.rolname <> session_user and r.rolname <> 'none'`;

/** Who a transaction runs as; see ClaimsTransactionOptions. */
export type Taken = Pick<ClaimsTransactionOptions, 'role' | 'claims' | 'statementTimeoutMs' | 'channelName'>;

/**
 * Takes on role and claims in the open transaction of `client`, until it ends; false where there is no such role. Whether
 * it may be taken at all the caller has to know. Rejects with 42501 if the login may not.
 */
export async function takeRole(client: pg.ClientBase, taken: Taken): Promise<boolean> {
  const timeout = taken.statementTimeoutMs === undefined ? null : String(taken.statementTimeoutMs);
  const values = [taken.role, JSON.stringify(taken.claims), taken.channelName ?? '', timeout];
  return (await client.query(ENTER, values)).rowCount === 1;
}

/**
 * Runs `work` in one transaction as `role` with `claims`; commits what it returns, rolls back what it throws.
 * Rejects with the database's errors (sqlstate.ts), 42501 if the login may not take the role.
 */
export async function claimsTransaction<T>(
  options: ClaimsTransactionOptions,
  work: (client: pg.ClientBase) => Promise<T>,
): Promise<ClaimsTransactionResult<T>> {
  if (!options.allowedRoles.includes(options.role)) return { ok: false, reason: 'unknown_role' };
  const client = await options.pool.connect();
  let broken = true;
  try {
    const result = await runAs(client, options, work);
    broken = false;
    return result;
  } catch (error) {
    broken = !(await rolledBack(client));
    throw error;
  } finally {
    client.release(broken);
  }
}

async function runAs<T>(
  client: pg.ClientBase,
  options: ClaimsTransactionOptions,
  work: (client: pg.ClientBase) => Promise<T>,
): Promise<ClaimsTransactionResult<T>> {
  await client.query(options.readOnly === true ? 'begin read only' : 'begin');
  if (!(await takeRole(client, options))) {
    await client.query('rollback');
    return { ok: false, reason: 'unknown_role' };
  }
  const value = await work(client);
  // After an error that `work` swallowed, commit answers ROLLBACK without failing.
  const ended = await client.query('commit');
  if (ended.command !== 'COMMIT') throw new Error('the transaction was rolled back: a statement in it had failed');
  return { ok: true, value };
}

// False where the connection itself is gone: it must not go back into the pool.
async function rolledBack(client: pg.ClientBase): Promise<boolean> {
  try {
    await client.query('rollback');
    return true;
  } catch {
    return false;
  }
}
