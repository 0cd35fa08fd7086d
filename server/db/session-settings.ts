// Owns the session settings that Rowcast pins on every connection, SQL and replication alike: the text that
// Postgres sends depends on them, and whether a session may write and live; a database or a login may have
// set them to anything.
// Pinned by startup options, which outrank ALTER DATABASE and ALTER ROLE; verified, because a pooler in
// between may drop them. https://www.postgresql.org/docs/18/libpq-connect.html#LIBPQ-CONNECT-OPTIONS

/** Setting name to pinned value, as `show` prints it. */
export const PINNED_SETTINGS: Readonly<Record<string, string>> = {
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  extra_float_digits: '3',
  bytea_output: 'hex',
  lc_monetary: 'C',
  client_encoding: 'UTF8',
  standard_conforming_strings: 'on',
  quote_all_identifiers: 'off',
  default_transaction_isolation: 'read committed',
  default_transaction_read_only: 'off',
  row_security: 'on',
  // How texts are read: NULL in arrays, = NULL in policies, xml.
  array_nulls: 'on',
  transform_null_equals: 'off',
  xmloption: 'content',
  lock_timeout: '0',
  idle_session_timeout: '0',
};

// Claims fall back to this after a transaction that set them. Without it they would fall back to '', on which
// ::jsonb raises.
const EMPTY_CLAIMS = 'request.jwt.claims={}';

/** Names of settings that a pool leaves to the database. */
export type Unpinned = readonly string[];

/** The `options` of a startup packet that pin everything; `extra` adds settings of one pool. */
export function startupOptions(extra: Readonly<Record<string, string>> = {}, unpinned: Unpinned = []): string {
  const pinned = Object.entries(PINNED_SETTINGS).filter(([name]) => !unpinned.includes(name));
  const settings = [...pinned, ...Object.entries(extra)].map(([name, value]) => `${name}=${value}`);
  return [...settings, EMPTY_CLAIMS].map((setting) => `-c ${escapeOption(setting)}`).join(' ');
}

export type SettingMismatch = { readonly name: string; readonly expected: string; readonly actual: string | null };

/** Runs one statement of the simple protocol and returns its rows as name to text; works on a replication connection too. */
export type TextQuery = (sql: string) => Promise<ReadonlyArray<Record<string, string | null>>>;

/** Compares the session with what was pinned; empty when all is as it must be. */
export async function verifySessionSettings(query: TextQuery, unpinned: Unpinned = []): Promise<SettingMismatch[]> {
  const names = Object.keys(PINNED_SETTINGS).map((name) => name.toLowerCase());
  const list = names.map((name) => `'${name}'`).join(', ');
  const rows = await query(
    `select lower(name) as name, current_setting(name) as value from pg_catalog.pg_settings where lower(name) in (${list})`,
  );
  const actual = new Map(rows.map((row) => [row.name, row.value ?? null]));
  return Object.entries(PINNED_SETTINGS)
    .filter(([name]) => !unpinned.includes(name))
    .map(([name, expected]) => ({ name, expected, actual: actual.get(name.toLowerCase()) ?? null }))
    .filter((setting) => setting.actual !== setting.expected);
}

/** One line for a log or an error: which settings differ, and what that usually means. */
export function describeMismatches(mismatches: readonly SettingMismatch[]): string {
  const list = mismatches.map(({ name, expected, actual }) => `${name} is ${actual}, must be ${expected}`).join('; ');
  return `session settings could not be pinned (${list}): a connection pooler may drop startup options, connect directly`;
}

function escapeOption(text: string): string {
  return text.replace(/[\\ ]/g, '\\$&');
}
