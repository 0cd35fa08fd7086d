// Owns what leaving Rowcast means for one database: the slot, the publications, the schema and the login that
// was made for policies, found by looking, so that a second run removes what a first one could not. A login
// that was given stays; it loses its rights with the schema.

import type { Client } from 'pg';
import type { Config } from '../../server/config/config.ts';
import { policyLoginName } from '../../server/db/policy-login-maker.ts';
import { classifyDatabaseError } from '../../server/db/sqlstate.ts';

export type RemovalPlan = {
  /** Slots of this database that are ours; the pid of a reader, if one is connected. */
  readonly slots: readonly { readonly name: string; readonly readerPid: number | null }[];
  readonly publications: readonly string[];
  readonly schema: 'none' | 'ours' | 'foreign';
  /** Objects outside the schema that use it and go with it: policies, views. */
  readonly dependents: readonly string[];
  /** The login that Rowcast made for policies, if it is there. */
  readonly policyLogin: string | null;
};

const DEPENDENTS_EXIST = '2BP01';

/** Looks, and changes nothing. */
export async function planRemoval(client: Client, config: Config): Promise<RemovalPlan> {
  const schema = await readSchema(client);
  return {
    slots: await readSlots(client, config.replication.slot, schema === 'ours'),
    publications: await readPublications(client, config.replication.publication),
    schema,
    dependents: schema === 'ours' ? await readDependents(client) : [],
    policyLogin: await readPolicyLogin(client),
  };
}

/** What is to be removed, one line each; empty if nothing is left. */
export function describePlan({ slots, publications, schema, dependents, policyLogin }: RemovalPlan): string[] {
  const lines = slots.map(({ name }) => `replication slot ${name}`);
  lines.push(...publications.map((name) => `publication ${name}`));
  if (schema === 'ours') lines.push('schema realtime, with all channels, messages and history');
  lines.push(...dependents.map((object) => `${object} (uses the schema)`));
  if (policyLogin !== null) lines.push(`login ${policyLogin}, with its rights in this database`);
  return lines;
}

/**
 * Removes the slots, then the rest in one transaction. A slot that is being read is released by its reader
 * first. Returns the statements for what this login may not remove.
 */
export async function remove(client: Client, plan: RemovalPlan): Promise<readonly string[]> {
  for (const { name } of plan.slots) await client.query('select pg_drop_replication_slot($1)', [name]);
  await client.query('begin');
  try {
    for (const name of plan.publications) {
      await client.query(`drop publication if exists ${client.escapeIdentifier(name)}`);
    }
    if (plan.schema === 'ours') await client.query('drop schema realtime cascade');
    const left = plan.policyLogin === null ? [] : await removeLogin(client, plan.policyLogin);
    await client.query('commit');
    return left;
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

/**
 * Drops the login with what it was given in this database. A login without superuser has to be a member of it
 * for the latter; where that is refused, and a right is left that others gave, it cannot be dropped.
 */
async function removeLogin(client: Client, login: string): Promise<string[]> {
  const name = client.escapeIdentifier(login);
  await allowed(
    client,
    `do $$ begin
      if not (select rolsuper from pg_roles where rolname = current_user) then
        grant ${name} to current_user;
      end if;
    end $$; drop owned by ${name}`,
  );
  return (await allowed(client, `drop role ${name}`)) ? [] : [`drop owned by ${name}; drop role ${name};`];
}

/** Runs `sql`; false, with nothing done, where this login may not. */
async function allowed(client: Client, sql: string): Promise<boolean> {
  await client.query('savepoint allowed');
  try {
    await client.query(sql);
    return true;
  } catch (error) {
    const { kind, sqlstate } = classifyDatabaseError(error);
    if (kind !== 'permission_denied' && sqlstate !== DEPENDENTS_EXIST) throw error;
    await client.query('rollback to savepoint allowed');
    return false;
  }
}

async function readPolicyLogin(client: Client): Promise<string | null> {
  const name = await policyLoginName(client);
  const { rowCount } = await client.query('select from pg_roles where rolname = $1', [name]);
  return rowCount === 1 ? name : null;
}

async function readSchema(client: Client): Promise<RemovalPlan['schema']> {
  const { rows } = await client.query<{ present: boolean; ours: boolean }>(
    `select to_regnamespace('realtime') is not null as present, to_regclass('realtime.checkpoint') is not null as ours`,
  );
  if (!rows[0]?.present) return 'none';
  return rows[0].ours ? 'ours' : 'foreign';
}

/** The one that is set, and the one that the checkpoint remembers, if the setting was changed since. */
async function readSlots(client: Client, name: string, withCheckpoint: boolean): Promise<RemovalPlan['slots']> {
  const remembered = withCheckpoint
    ? (await client.query<{ slot_name: string | null }>('select slot_name::text from realtime.checkpoint')).rows
    : [];
  const names = [name, ...remembered.map(({ slot_name }) => slot_name)];
  const { rows } = await client.query<{ name: string; readerPid: number | null }>(
    `select slot_name::text as name, active_pid as "readerPid" from pg_replication_slots
     where slot_name = any ($1) and database = current_database() and plugin = 'pgoutput' order by slot_name`,
    [names],
  );
  return rows;
}

async function readPublications(client: Client, prefix: string): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `select pubname::text as name from pg_publication where pubname = any ($1) order by pubname`,
    [[prefix, `${prefix}_inserts`, `${prefix}_messages`]],
  );
  return rows.map(({ name }) => name);
}

async function readDependents(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ object: string }>(`
    with ours as (
      select 'pg_proc'::regclass as class, p.oid from pg_proc p where p.pronamespace = 'realtime'::regnamespace
      union all
      select 'pg_class'::regclass, c.oid from pg_class c where c.relnamespace = 'realtime'::regnamespace)
    select distinct pg_describe_object(d.classid, d.objid, 0) as object
    from pg_depend d join ours on ours.class = d.refclassid and ours.oid = d.refobjid
    where d.deptype = 'n' and (pg_identify_object(d.classid, d.objid, 0)).identity !~ '\\mrealtime\\.'
    order by object`);
  return rows.map(({ object }) => object);
}
