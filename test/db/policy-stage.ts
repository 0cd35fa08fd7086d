// Owns a database for the tests of the policy login, with roles of its own: roles belong to the whole server, so
// each test makes and drops those that it names.

import { Client } from 'pg';
import { migrate } from '../../server/db/migrate.ts';
import { type PolicyLogin, settlePolicyLogin } from '../../server/db/policy-login.ts';
import type { TestDatabase, TestPostgres } from '../rig/postgres.ts';
import { collectingLog, type LogLine, openTestPool } from './migrated.ts';

export type Stage = AsyncDisposable & {
  readonly database: TestDatabase;
  /** A role of tokens, and one with BYPASSRLS; nobody else's. */
  readonly role: string;
  readonly bypass: string;
  /** A role of this test, dropped after it. */
  make(name: string, attributes: string): Promise<string>;
  /** Migrates if needed, and settles, as `mainUrl`. */
  settle(options?: { mainUrl?: string; policyUrl?: string; roles?: readonly string[] }): Promise<Settled>;
};
export type Settled = { readonly result: PolicyLogin; readonly warnings: readonly LogLine[] };

export async function stage(postgres: TestPostgres): Promise<Stage> {
  const database = await postgres.createDatabase();
  const made: string[] = [];
  const make = async (name: string, attributes: string): Promise<string> => {
    const full = `${name}_${database.name}`;
    await database.query(`create role ${full} ${attributes}`);
    made.push(full);
    return full;
  };
  const role = await make('app', 'nologin');
  const bypass = await make('bypass', 'nologin bypassrls');
  return {
    database,
    role,
    bypass,
    make,
    settle: (options = {}) => settle(database, { roles: [role, bypass], ...options }),
    [Symbol.asyncDispose]: async () => {
      const names = made.toReversed().join(', ');
      const [row] = await database.query<{ login: string | null }>(
        `select rolname as login from pg_roles where rolname = (
           select 'rowcast_policies_' || oid from pg_database where datname = current_database())`,
      );
      const all = row ? `${row.login}, ${names}` : names;
      await database.query(`drop owned by ${all} cascade; drop role ${all}`);
      await database.drop();
    },
  };
}

async function settle(
  database: TestDatabase,
  options: { mainUrl?: string; policyUrl?: string; roles: readonly string[] },
): Promise<Settled> {
  const log = collectingLog();
  const databaseUrl = options.mainUrl ?? database.url;
  const { pool, close } = openTestPool(databaseUrl);
  try {
    const { roles, policyUrl } = options;
    const rights = { publicationPrefix: 'rowcast', appRoles: roles, adminRoles: [] };
    const migrated = await migrate({ pool, log: collectingLog(), ...rights });
    if (!migrated.ok) throw new Error(migrated.message);
    const result = await settlePolicyLogin({ pool, databaseUrl, policyUrl, roles, log });
    return { result, warnings: log.lines.filter(({ level }) => level === 'warn') };
  } finally {
    await close();
  }
}

export function urlOf({ result }: Settled): string {
  if (!result.ok) throw new Error(result.message);
  return result.url;
}

export function messageOf({ result }: Settled): string {
  return result.ok ? `accepted ${result.login}` : result.message;
}

export async function connected<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

export const whoAmI = (url: string): Promise<string> =>
  connected(url, async (client) => (await client.query('select current_user::text as me')).rows[0].me);
