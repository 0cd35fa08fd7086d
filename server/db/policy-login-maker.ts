// Owns the policy login that Rowcast makes: its name, attributes, password and rights. One login a database,
// named by the database's oid: roles belong to the whole cluster, the password is kept in one database.
// Whether one is to be made is decided in policy-login.ts.

import type pg from 'pg';
import { isToBeTaken, readPolicyRoles } from './policy-roles.ts';
import { scramVerifier } from './scram-verifier.ts';
import { classifyDatabaseError } from './sqlstate.ts';

export type MadeLogin = { readonly name: string; readonly password: string };

// Any number will do as long as nobody changes it; in ASCII it reads "policies".
const LOCK_KEY = 0x706f6c6963696573n;

// Made by the database, so that it stands in no statement and among no logged parameters. Two random UUIDs
// hold 244 random bits.
const MAKE_PASSWORD = `
  update realtime.settings set policy_password = translate(rtrim(encode(
    sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'base64'), '='), '+/', '-_')
  where policy_password is null`;

/** What the login must be: column of pg_roles, its value, how to say it. */
const ATTRIBUTES = [
  ['rolcanlogin', true, 'login'],
  ['rolinherit', false, 'noinherit'],
  ['rolsuper', false, 'nosuperuser'],
  ['rolbypassrls', false, 'nobypassrls'],
  ['rolcreatedb', false, 'nocreatedb'],
  ['rolcreaterole', false, 'nocreaterole'],
  ['rolreplication', false, 'noreplication'],
] as const;

/** The name of the login that Rowcast makes for the database of `client`. */
export async function policyLoginName(client: Pick<pg.ClientBase, 'query'>): Promise<string> {
  const { rows } = await client.query<{ name: string }>(
    `select 'rowcast_policies_' || oid as name from pg_catalog.pg_database where datname = current_database()`,
  );
  return rows[0]?.name ?? '';
}

/**
 * Makes the login, or repairs what was changed about it; two servers may do so at once. Roles that the main
 * login may not grant are left out. Rejects where the main login may not make or repair it.
 */
export async function makePolicyLogin(pool: pg.Pool, roles: readonly string[]): Promise<MadeLogin> {
  return locked(pool, async (client) => {
    const name = await policyLoginName(client);
    const { password, isNew } = await keptPassword(client);
    await ensureRole(client, name, password, isNew);
    await grantRoles(client, name, roles);
    await grantConnect(client, name);
    await client.query('select realtime.grant_policy_login($1)', [name]);
    return { name, password };
  });
}

/** Tells the database the password once more, where it has another one. */
export async function resetPassword(pool: pg.Pool, { name, password }: MadeLogin): Promise<void> {
  await locked(pool, (client) => setPassword(client, name, password));
}

// One transaction, under a lock of this database: nobody sees half a login.
async function locked<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    await client.query('select pg_advisory_xact_lock($1)', [LOCK_KEY]);
    const result = await work(client);
    await client.query('commit');
    client.release();
    return result;
  } catch (error) {
    // Ending the session rolls back, whatever state it is in.
    client.release(true);
    throw error;
  }
}

async function keptPassword(client: pg.ClientBase): Promise<{ readonly password: string; readonly isNew: boolean }> {
  const { rowCount } = await client.query(MAKE_PASSWORD);
  const { rows } = await client.query<{ password: string }>(
    'select policy_password as password from realtime.settings',
  );
  const password = rows[0]?.password;
  if (password === undefined) throw new Error('realtime.settings has no row: the database is not migrated');
  return { password, isNew: rowCount === 1 };
}

async function ensureRole(client: pg.PoolClient, name: string, password: string, isNew: boolean): Promise<void> {
  const quoted = client.escapeIdentifier(name);
  const { rows } = await client.query<Record<string, boolean>>('select * from pg_catalog.pg_roles where rolname = $1', [
    name,
  ]);
  const [role] = rows;
  // Only what differs is named: a login without superuser may not even repeat some of them.
  const wrong = ATTRIBUTES.filter(([column, value]) => role?.[column] !== value).map(([, , word]) => word);
  if (role === undefined) await client.query(`create role ${quoted} ${wrong.join(' ')}`);
  else if (wrong.length > 0) await client.query(`alter role ${quoted} ${wrong.join(' ')}`);
  if (role === undefined) {
    const purpose = client.escapeLiteral(`Policies that Rowcast asks run on this login; npm run teardown removes it.`);
    await client.query(`comment on role ${quoted} is ${purpose}`);
  }
  if (role === undefined || isNew) await setPassword(client, name, password);
}

async function setPassword(client: pg.PoolClient, name: string, password: string): Promise<void> {
  const verifier = client.escapeLiteral(await scramVerifier(password));
  await client.query(`alter role ${client.escapeIdentifier(name)} password ${verifier}`);
}

// In the order of names, so that two servers that grant the same roles do not wait for each other in a ring.
async function grantRoles(client: pg.PoolClient, name: string, roles: readonly string[]): Promise<void> {
  for (const role of await readPolicyRoles(client, name, roles)) {
    if (!role.isTaken && isToBeTaken(role)) await tried(client, role.grant);
  }
}

async function grantConnect(client: pg.PoolClient, name: string): Promise<void> {
  const { rows } = await client.query<{ grant: string }>(
    `select format('grant connect on database %I to %I', current_database(), $1::name) as grant
     where not has_database_privilege($1::name, current_database(), 'CONNECT')`,
    [name],
  );
  if (rows[0] !== undefined) await tried(client, rows[0].grant);
}

/** Runs a grant that the main login may not be allowed to give; what is missing then is said by who looks after it. */
async function tried(client: pg.PoolClient, statement: string): Promise<void> {
  await client.query('savepoint tried');
  try {
    await client.query(statement);
  } catch (error) {
    if (classifyDatabaseError(error).kind !== 'permission_denied') throw error;
    await client.query('rollback to savepoint tried');
  }
}
