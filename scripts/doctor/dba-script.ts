// Owns the one script that a DBA can run for a fresh set-up without superuser: the logins, their rights and
// the roles. It can be run again; it changes no table.

import type { Config } from '../../server/config/config.ts';
import { quoteName } from './finding.ts';

export type ScriptNames = { readonly login: string; readonly policyLogin: string; readonly database: string };

/** SQL for a superuser. Passwords are left to the DBA. */
export function dbaScript(config: Config, names: ScriptNames): string {
  const login = quoteName(names.login);
  const policyLogin = quoteName(names.policyLogin);
  const database = quoteName(names.database);
  return [
    `-- Rowcast: rights for the login ${names.login} in the database ${names.database}. Run as a superuser, in that database.`,
    '-- Before: wal_level = logical (restart), and a free replication slot.',
    '',
    '-- The server: makes its schema, publications and slot, and nothing else.',
    ...createRole(names.login, 'login replication'),
    `alter role ${login} replication;`,
    `grant create on database ${database} to ${login};`,
    '',
    '-- The roles that tokens name.',
    ...config.auth.roles.flatMap((role) => createRole(role, 'nologin noinherit')),
    '-- To the server itself only for as long as it has no policy login: then policies run on it.',
    ...config.auth.roles.flatMap((role) => grantBoundRole(role, names.login)),
    '',
    '-- Policies run on this login: bound by row security, owner of nothing.',
    ...createRole(names.policyLogin, 'login noinherit'),
    `alter role ${policyLogin} login noinherit nosuperuser nobypassrls nocreatedb nocreaterole noreplication;`,
    ...config.auth.roles.flatMap((role) => grantBoundRole(role, names.policyLogin)),
    `grant connect on database ${database} to ${login}, ${policyLogin};`,
    '-- Set passwords (\\password in psql), then DATABASE_URL and ROWCAST_POLICY_DATABASE_URL.',
    '',
    '-- For each table that others own and Rowcast shall watch, one of two ways:',
    `-- (a) the login may act as the owner:  grant <owner> to ${login};`,
    `-- (b) the owner publishes it, before Rowcast starts first:`,
    `--     create publication ${config.replication.publication}_<owner> for table <schema.table> with (publish_via_partition_root = true);`,
    '',
  ].join('\n');
}

// A role that row security does not bind is decided from the catalogue, never taken.
function grantBoundRole(role: string, login: string): string[] {
  return [
    'do $$ begin',
    `  if not (select rolsuper or rolbypassrls from pg_roles where rolname = ${literal(role)}) then grant ${quoteName(role)} to ${quoteName(login)}; end if;`,
    'end $$;',
  ];
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function createRole(name: string, attributes: string): string[] {
  return [
    'do $$ begin',
    `  if not exists (select from pg_roles where rolname = ${literal(name)}) then create role ${quoteName(name)} ${attributes}; end if;`,
    'end $$;',
  ];
}
