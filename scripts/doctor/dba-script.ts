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
  const roles = config.auth.roles.map(quoteName);
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
    `grant ${roles.join(', ')} to ${login};`,
    '',
    '-- Policies run on this login: bound by row security, owner of nothing.',
    ...createRole(names.policyLogin, 'login noinherit'),
    `grant ${roles.join(', ')} to ${policyLogin};`,
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

function createRole(name: string, attributes: string): string[] {
  const literal = `'${name.replaceAll("'", "''")}'`;
  return [
    'do $$ begin',
    `  if not exists (select from pg_roles where rolname = ${literal}) then create role ${quoteName(name)} ${attributes}; end if;`,
    'end $$;',
  ];
}
