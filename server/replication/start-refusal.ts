// Owns what a database must offer before there can be a slot, and the sentences that say what is missing.
// Checked once a start, so that an operator reads a remedy instead of an error of the slot's creation.

import type { ClientBase } from 'pg';

type Row = {
  wal_level: string;
  max_slots: number;
  used_slots: number;
  has_slot: boolean;
  may_replicate: boolean;
  login: string;
  encoding: string;
};

const FACTS = `
  select pg_catalog.current_setting('wal_level') as wal_level,
    pg_catalog.current_setting('max_replication_slots')::int as max_slots,
    (select pg_catalog.count(*) from pg_catalog.pg_replication_slots)::int as used_slots,
    exists (select from pg_catalog.pg_replication_slots where slot_name = $1) as has_slot,
    (select r.rolsuper or r.rolreplication or exists (
        -- Amazon gives the right by a role, not by the attribute.
        select from pg_catalog.pg_roles as m
        where m.rolname in ('rds_replication', 'rds_superuser') and pg_catalog.pg_has_role(m.oid, 'MEMBER'))
     from pg_catalog.pg_roles as r where r.rolname = current_user) as may_replicate,
    current_user::text as login,
    pg_catalog.current_setting('server_encoding') as encoding`;

/** Why no slot can work here, with its remedy; undefined if one can. */
export async function startRefusal(client: ClientBase, slot: string): Promise<string | undefined> {
  const { rows } = await client.query<Row>(FACTS, [slot]);
  const facts = rows[0] as Row;
  if (facts.wal_level !== 'logical') {
    return `wal_level is ${facts.wal_level}, must be logical: run "alter system set wal_level = logical" and restart the database`;
  }
  if (!facts.may_replicate) {
    const login = `"${facts.login.replaceAll('"', '""')}"`;
    return `login ${login} may not replicate: run "alter role ${login} replication" as a superuser`;
  }
  if (!facts.has_slot && facts.used_slots >= facts.max_slots) {
    return `all ${facts.max_slots} replication slots are in use: drop one that is not needed, or raise max_replication_slots and restart the database`;
  }
  if (facts.encoding === 'SQL_ASCII') {
    return 'the database has no encoding (SQL_ASCII), so its text cannot be sent as UTF-8: use a UTF8 database';
  }
  return undefined;
}
