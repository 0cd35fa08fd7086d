// Which roles see a table whole, asked of PostgreSQL itself.

import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type TableGrants, TableGrantsStore } from '../../server/policies/table-grants-store.ts';
import { describeEachPostgres, type TestDatabase } from '../rig/postgres.ts';

describeEachPostgres('the grants of a table', (postgres) => {
  // Roles belong to the whole server, so they have names of their own.
  const suffix = randomBytes(4).toString('hex');
  const role = (name: string): string => `${name}_${suffix}`;
  const allowed = ['plain', 'member', 'distant', 'owner', 'bypass', 'columns', 'nobody'].map(role);
  let database: TestDatabase;
  let pool: pg.Pool;
  let store: TableGrantsStore;

  beforeAll(async () => {
    database = await postgres.createDatabase();
    pool = new pg.Pool({ connectionString: database.url });
    store = new TableGrantsStore(pool, [...allowed, 'no_such_role']);
    await database.query(`
      create role ${role('plain')}; create role ${role('member')} in role ${role('plain')};
      create role ${role('distant')} noinherit in role ${role('plain')};
      create role ${role('owner')}; create role ${role('bypass')} bypassrls; create role ${role('columns')};
      create role ${role('nobody')};
      create table t (id int, secret text); alter table t owner to ${role('owner')};
      create schema hidden; create table hidden.t (id int); grant select on hidden.t to ${role('plain')};
      grant select on t to ${role('plain')}, ${role('bypass')}; grant select (id) on t to ${role('columns')}`);
  });
  afterAll(async () => {
    await pool.end();
    await database.query(`drop owned by ${role('plain')}, ${role('bypass')}, ${role('columns')}, ${role('owner')};
      drop role ${allowed.join(', ')}`);
    await database.drop();
  });

  async function roles(table = 't'): Promise<string[]> {
    const [row] = await database.query<{ oid: number }>('select $1::regclass::oid::int8::int as oid', [table]);
    return (await store.read(row?.oid ?? 0)).roles.map((name) => name.replace(`_${suffix}`, '')).sort();
  }

  it('are those with SELECT on the whole table, inherited or owned', async () => {
    // has_table_privilege counts a membership without INHERIT as none.
    expect(await roles()).toEqual(['bypass', 'member', 'owner', 'plain']);
  });

  it('need USAGE on the schema as well', async () => {
    expect(await roles('hidden.t')).toEqual([]);
    await database.query(`grant usage on schema hidden to ${role('plain')}`);
    expect(await roles('hidden.t')).toEqual(['member', 'plain']);
  });

  it('are the exempt alone under row security, and the owner only while it is not forced', async () => {
    await database.query('alter table t enable row level security');
    expect(await roles()).toEqual(['bypass', 'owner']);
    await database.query('alter table t force row level security');
    expect(await roles()).toEqual(['bypass']);
    await database.query('alter table t no force row level security, disable row level security');
    expect(await roles()).toEqual(['bypass', 'member', 'owner', 'plain']);
  });

  it('of a table that does not exist are none', async () => {
    expect((await store.read(1)).roles).toEqual([]);
  });

  it('come with the snapshot they were read in', async () => {
    const client = await database.connect();
    const { rows } = await client.query('begin; select pg_current_xact_id()::text as xid').then((results) => {
      return (results as unknown as { rows: { xid: string }[] }[])[1] as { rows: { xid: string }[] };
    });
    const xid = BigInt(rows[0]?.xid ?? 0);
    const contains = ({ xmax, inProgress }: TableGrants): boolean => xid < xmax && !inProgress.has(xid);
    expect(contains(await store.read(1))).toBe(false);
    await client.query('commit');
    expect(contains(await store.read(1))).toBe(true);
    await client.end();
  });
});
