// Owns bringing a database to this release: numbered migrations once and in order, repeatable objects when
// their text changed, publications and standard grants. An own small runner: each migration in its own
// transaction, under one advisory lock, so that two servers may start at once. Forward only.

import type pg from 'pg';
import type { Logger } from '../lib/logger.ts';
import { type Migration, type MigrationFiles, type RepeatableObject, readMigrationFiles } from './migration-files.ts';
import { forbiddenBy } from './migration-rights.ts';
import { classifyDatabaseError } from './sqlstate.ts';

export type MigrateOptions = {
  readonly pool: pg.Pool;
  /** ROWCAST_PUBLICATION. */
  readonly publicationPrefix: string;
  /** ROWCAST_ROLES: get the rights of subscribers and publishers, once. */
  readonly appRoles: readonly string[];
  /** ROWCAST_ADMIN_ROLES: those that exist as database roles get DML on channels and messages, once. */
  readonly adminRoles: readonly string[];
  readonly log: Logger;
  /** How long to wait for another server's migration. Default 120 s. */
  readonly waitMs?: number | undefined;
  /** For a lock that a migration needs. Default 5 s. */
  readonly lockTimeoutMs?: number | undefined;
  /** Default: what sql/ holds. */
  readonly files?: MigrationFiles | undefined;
};

export type MigrateRefusal =
  /** The database was migrated by a later release. */
  | 'newer_schema'
  /** The schema realtime is of something else. */
  | 'foreign_schema'
  | 'changed_migration'
  /** The login lacks a right: the message has the statement that gives it. */
  | 'rights'
  /** The database is a standby: it cannot be written to. */
  | 'standby'
  /** Set up with another ROWCAST_PUBLICATION. */
  | 'prefix'
  /** Another server is migrating, and does not come to an end. */
  | 'busy';

export type MigrateResult =
  | {
      readonly ok: true;
      /** Names of the migrations and repeatable objects that ran now. */
      readonly applied: readonly string[];
      /** Publication name to oid. */
      readonly publications: Readonly<Record<string, number>>;
    }
  | {
      readonly ok: false;
      readonly reason: MigrateRefusal;
      /** For the operator, with the statement to run where there is one. */
      readonly message: string;
    };

type Refused = Extract<MigrateResult, { ok: false }>;

// Any number will do as long as nobody changes it; in ASCII it reads "rowcast".
const LOCK_KEY = 0x726f7763617374n;
const DEFAULT_WAIT_MS = 120_000;

/**
 * Brings the database of `pool` to this release. Expected refusals are values; what the database refuses
 * otherwise rejects, with nothing of the failing migration left behind.
 */
export async function migrate(options: MigrateOptions): Promise<MigrateResult> {
  const files = options.files ?? (await readMigrationFiles());
  const client = await options.pool.connect();
  const onNotice = noticeLogger(options.log);
  client.on('notice', onNotice);
  try {
    if (!(await isLocked(client, options.waitMs ?? DEFAULT_WAIT_MS))) return busy(options.waitMs ?? DEFAULT_WAIT_MS);
    await client.query(`set lock_timeout = ${Math.floor(options.lockTimeoutMs ?? 5_000)}`);
    return await migrateLocked(client, files, options);
  } finally {
    client.off('notice', onNotice);
    // Ending the session gives the lock back and forgets the settings, whatever state it is in.
    client.release(true);
  }
}

function busy(waitMs: number): Refused {
  const message = `another server has been migrating this database for more than ${waitMs / 1000} s`;
  return { ok: false, reason: 'busy', message };
}

async function migrateLocked(
  client: pg.ClientBase,
  files: MigrationFiles,
  options: MigrateOptions,
): Promise<MigrateResult> {
  const refused = (await forbiddenBy(client, options.publicationPrefix)) ?? (await openBookkeeping(client));
  if (refused) return refused;
  const known = await appliedMigrations(client);
  const mismatch = compare(files.migrations, known);
  if (mismatch) return mismatch;

  const applied: string[] = [];
  for (const migration of files.migrations.filter(({ number }) => !known.has(number))) {
    await applyMigration(client, migration);
    options.log.info({ migration: migration.name }, 'migration applied');
    applied.push(migration.name);
  }
  applied.push(...(await applyRepeatables(client, files.repeatables, applied.length > 0)));
  await client.query('select realtime.grant_access($1, $2)', [options.appRoles, options.adminRoles]);
  return publish(client, options.publicationPrefix, applied);
}

/** False when another server holds the lock for longer than `waitMs`. */
async function isLocked(client: pg.ClientBase, waitMs: number): Promise<boolean> {
  await client.query(`set statement_timeout = ${Math.floor(waitMs)}`);
  try {
    await client.query('select pg_advisory_lock($1)', [LOCK_KEY]);
  } catch (error) {
    if (classifyDatabaseError(error).kind === 'query_cancelled') return false;
    throw error;
  }
  await client.query('set statement_timeout = 0');
  return true;
}

async function openBookkeeping(client: pg.ClientBase): Promise<Refused | undefined> {
  const { rows } = await client.query(`
    select to_regclass('realtime.migrations') is not null as ours, to_regnamespace('realtime') is not null as present,
      exists (select from pg_catalog.pg_class c where c.relnamespace = to_regnamespace('realtime')) as filled`);
  const state = rows[0] as { ours: boolean; present: boolean; filled: boolean };
  if (state.ours) return undefined;
  if (state.filled) {
    const message =
      'this database has a schema realtime that is not of Rowcast (Supabase and InsForge bring one): use another database, or remove it';
    return { ok: false, reason: 'foreign_schema', message };
  }
  await client.query(`begin;
    ${state.present ? '' : 'create schema realtime;'}
    comment on schema realtime is 'Rowcast: channels, messages and history. See sql/README.md.';
    create table realtime.migrations (
      number integer primary key, name text not null, hash text not null, applied_at timestamptz not null default now());
    comment on table realtime.migrations is 'Migrations that ran, each once.';
    alter table realtime.migrations enable row level security;
    create table realtime.repeatables (name text primary key, hash text not null, applied_at timestamptz not null default now());
    comment on table realtime.repeatables is 'Functions and views by the hash of the text that made them; run again when it changes.';
    alter table realtime.repeatables enable row level security;
    commit`);
  return undefined;
}

type Known = ReadonlyMap<number, { readonly name: string; readonly hash: string }>;

async function appliedMigrations(client: pg.ClientBase): Promise<Known> {
  const { rows } = await client.query('select number, name, hash from realtime.migrations');
  return new Map(rows.map((row) => [row.number as number, { name: row.name as string, hash: row.hash as string }]));
}

function compare(migrations: readonly Migration[], known: Known): Refused | undefined {
  const newest = Math.max(0, ...known.keys());
  if (newest > migrations.length) {
    const message = `the database is at migration ${newest}, this release knows ${migrations.length}: start a newer Rowcast`;
    return { ok: false, reason: 'newer_schema', message };
  }
  const changed = migrations.find(({ number, hash }) => known.has(number) && known.get(number)?.hash !== hash);
  if (!changed) return undefined;
  const message = `migration ${changed.name} is not the text that ran here as ${known.get(changed.number)?.name}: migrations are never edited`;
  return { ok: false, reason: 'changed_migration', message };
}

async function applyMigration(client: pg.ClientBase, { number, name, sql, hash }: Migration): Promise<void> {
  await inTransaction(client, async () => {
    await client.query('insert into realtime.migrations (number, name, hash) values ($1, $2, $3)', [
      number,
      name,
      hash,
    ]);
    await named(name, () => client.query(sql));
  });
}

// All in one transaction: nobody sees half of a release. After a migration everything runs again, because
// what it changed may be compiled into functions.
async function applyRepeatables(
  client: pg.ClientBase,
  repeatables: readonly RepeatableObject[],
  all: boolean,
): Promise<string[]> {
  const { rows } = await client.query('select name, hash from realtime.repeatables');
  const known = new Map(rows.map((row) => [row.name as string, row.hash as string]));
  const due = repeatables.filter(({ name, hash }) => all || known.get(name) !== hash);
  if (due.length === 0) return [];
  await inTransaction(client, async () => {
    // Functions may call each other in any order of files; the tests call them all.
    await client.query('set local check_function_bodies = off');
    for (const { name, sql, hash } of due) {
      await named(name, () => client.query(sql));
      await client.query(
        `insert into realtime.repeatables (name, hash) values ($1, $2)
         on conflict (name) do update set hash = excluded.hash, applied_at = now()`,
        [name, hash],
      );
    }
    // Default privileges of the database may have opened what was made now; the view runs with its owner's rights.
    await client.query('revoke all on all tables in schema realtime from public');
  });
  return due.map(({ name }) => name);
}

async function publish(client: pg.ClientBase, prefix: string, applied: readonly string[]): Promise<MigrateResult> {
  const { rows } = await client.query(
    'select (select publication_prefix from realtime.settings) as prefix, current_database() as database',
  );
  const known = rows[0]?.prefix as string | null;
  if (known !== null && known !== prefix) {
    const message = `this database was set up with ROWCAST_PUBLICATION=${known}, not ${prefix}: set it back, or run teardown first`;
    return { ok: false, reason: 'prefix', message };
  }
  const ensured = await client.query('select realtime.ensure_publications($1)::text as publications', [prefix]);
  return { ok: true, applied, publications: JSON.parse(ensured.rows[0].publications) };
}

async function inTransaction(client: pg.ClientBase, work: () => Promise<void>): Promise<void> {
  await client.query('begin');
  try {
    await work();
    await client.query('commit');
  } catch (error) {
    await client.query('rollback').catch(() => undefined);
    throw error;
  }
}

async function named(name: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Error) error.message = `${name}: ${error.message}`;
    throw error;
  }
}

type Notice = {
  readonly severity?: string | undefined;
  readonly message?: string | undefined;
  readonly hint?: string | undefined;
};

function noticeLogger(log: Logger): (notice: Notice) => void {
  return ({ severity, message, hint }) => {
    const fields = { severity, hint };
    if (severity === 'WARNING') log.warn(fields, message ?? 'warning');
    else log.debug(fields, message ?? 'notice');
  };
}
