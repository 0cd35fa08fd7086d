// A snapshot has the rows that a SELECT under the role would show, with the columns that the stream would send, in the
// same bytes.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SAMPLES, TYPE_SETUP, tableOf } from '../app/common-types.ts';
import { type HistoryStage, openHistoryStage } from '../changes/history-stage.ts';
import { describeEachPostgres } from '../rig/postgres.ts';
import { openSnapshotStage, type Reader, type SnapshotStage } from './snapshot-stage.ts';

const SAMPLE_ROWS = Math.max(...SAMPLES.map(({ values }) => values.length));
const ADMIN: Reader = { role: 'service_role' };
const USER: Reader = { role: 'authenticated', claims: { sub: 'ann', team: 7 } };
/** Neither whole hours, nor the zone of anybody who runs this. */
const ZONE = 'Asia/Kathmandu';

describeEachPostgres('a snapshot', (postgres) => {
  let history: HistoryStage;
  let stage: SnapshotStage;
  let bypass: string;
  let tables = 0;

  beforeAll(async () => {
    history = await openHistoryStage(postgres, `${TYPE_SETUP} ${tableOf('samples', SAMPLES)}`);
    const { name } = history.host.database;
    bypass = `bypass_${name}`;
    await history.sql(`alter database ${name} set timezone = '${ZONE}'`);
    await history.sql(`create role ${bypass} nologin bypassrls`);
    stage = await openSnapshotStage(history.host, [bypass]);
  });
  afterAll(async () => {
    await stage[Symbol.asyncDispose]();
    await history.sql(`drop owned by ${bypass}; drop role ${bypass}`);
    await history[Symbol.asyncDispose]();
  });

  /** Makes a table that `authenticated` may read; `T` in statements stands for its name. Returns its channel. */
  const table = async (columns: string, ...statements: string[]): Promise<string> => {
    const name = `t${++tables}`;
    const grant = `grant select on T to authenticated, ${bypass}`;
    for (const statement of [`create table T (${columns})`, grant, ...statements]) {
      await history.sql(statement.replaceAll(/\bT(?=\b|_[abc])/g, name));
    }
    return `db:${name}`;
  };
  const idsOf = async (channel: string, reader: Reader): Promise<unknown[]> => {
    const { rows } = await stage.read(channel, reader);
    return rows.map((row) => (JSON.parse(row) as { id: unknown }).id).sort();
  };

  it('has the same bytes as the stream, whatever the time zone', async () => {
    await history.sql('grant select on samples to authenticated');
    for (let at = 0; at < SAMPLE_ROWS; at++) {
      const values = SAMPLES.map(({ type, values }) =>
        values[at] === undefined ? 'null' : `(${values[at]})::${type}`,
      );
      await history.sql(`insert into samples values (${at}, ${values.join(', ')})`);
    }
    const live = (await history.live()).map(({ payload }) => Buffer.from(payload).toString());
    const sent = live.map((payload) =>
      payload.slice(payload.indexOf('"new":') + 6, payload.lastIndexOf(',"old":null')),
    );
    for (const reader of [USER, ADMIN]) {
      const { rows, key } = await stage.read('db:samples', reader, { chunkBytes: 1 });
      expect({ key, rows }).toEqual({ key: ['id'], rows: sent });
    }
  });

  it('has the rows that the policies show to the role and its claims', async () => {
    const channel = await table(
      'id int primary key, owner text, team int',
      `insert into T values (1, 'ann', 1), (2, 'bob', 7), (3, 'bob', 1), (4, 'ann', 7)`,
      'alter table T enable row level security',
      `create policy own on T using (owner = auth.jwt() ->> 'sub')`,
      `create policy team on T using (team = (auth.jwt() ->> 'team')::int)`,
      `create policy no_four on T as restrictive using (id <> 4)`,
    );
    expect(await idsOf(channel, USER)).toEqual([1, 2]);
    expect(await idsOf(channel, { role: 'authenticated', claims: { sub: 'nobody' } })).toEqual([]);
    expect(await idsOf(channel, { role: bypass })).toEqual([1, 2, 3, 4]);
    expect(await idsOf(channel, ADMIN)).toEqual([1, 2, 3, 4]);
  });

  it('has none of a role without a policy or a right', async () => {
    const channel = await table('id int', 'alter table T enable row level security', 'insert into T values (1)');
    expect(await idsOf(channel, USER)).toEqual([]);
    expect(await stage.plan(channel, { role: 'anon' })).toBeUndefined();
    expect(await stage.plan(channel, { role: 'postgres' })).toBeUndefined();
    expect(await stage.plan('db:no_such_table', ADMIN)).toBeUndefined();
  });

  it('has policies ask for the date of the database, and filters read times in UTC', async () => {
    const channel = await table(
      'id int, at timestamptz',
      `insert into T values (1, '2024-01-15 10:00:00Z'), (2, '2024-01-15 11:00:00Z')`,
      'alter table T enable row level security',
      `create policy zoned on T using (current_setting('TimeZone') = '${ZONE}' and at::time > '15:00')`,
    );
    const { rows } = await stage.read(channel, { ...USER, where: { at: { gt: '2024-01-15 09:59:59' } } });
    expect(rows).toEqual(['{"id":1,"at":"2024-01-15T10:00:00Z"}', '{"id":2,"at":"2024-01-15T11:00:00Z"}']);
    expect((await stage.read(channel, { ...USER, where: { at: { gt: '2024-01-15 10:00:00' } } })).rows).toHaveLength(1);
  });

  it('has the columns that are granted, and a key only if it is among them', async () => {
    const grants = ['revoke select on T from authenticated', 'grant select (id, shown) on T to authenticated'];
    const columns = 'id int primary key, hidden text, shown text';
    const channel = await table(columns, ...grants, `insert into T values (1, 'h', 's')`);
    expect(await stage.read(channel, USER)).toMatchObject({ key: ['id'], rows: ['{"id":1,"shown":"s"}'] });
    expect(await stage.plan(channel, { ...USER, where: { hidden: 'h' } })).toBeUndefined();
    await history.sql(`revoke select on ${channel.slice(3)} from authenticated`);
    await history.sql(`grant select (shown) on ${channel.slice(3)} to authenticated`);
    expect(await stage.read(channel, USER)).toMatchObject({ key: [], rows: ['{"shown":"s"}'] });
  });

  it('has no more columns of a role beyond row security than it is granted', async () => {
    const grants = [`revoke select on T from ${bypass}`, `grant select (id) on T to ${bypass}`];
    const channel = await table('id int primary key, hidden text', ...grants, `insert into T values (1, 'h')`);
    expect((await stage.read(channel, { role: bypass })).rows).toEqual(['{"id":1}']);
  });

  it('has the rows and columns that are wanted, and the key', async () => {
    const channel = await table(
      'a text, id int primary key, b text',
      `insert into T values ('x', 1, 'y'), ('z', 2, 'y')`,
    );
    const { rows } = await stage.read(channel, { ...USER, columns: ['b'], where: { or: [{ a: 'z' }, { a: null }] } });
    expect(rows).toEqual(['{"id":2,"b":"y"}']);
  });

  it.each([
    ['a primary key of two columns', 'b int, a int, c text, primary key (a, b) include (c)', [], ['b', 'a']],
    ['the whole row', 'id int primary key, c text', ['alter table T replica identity full'], ['id']],
    ['the whole row without a key', 'id int, c text', ['alter table T replica identity full'], []],
    ['nothing', 'id int', [], []],
    [
      'another index',
      'id int primary key, code text not null',
      ['create unique index T_i on T (code)', 'alter table T replica identity using index T_i'],
      ['code'],
    ],
  ])('names rows as the stream does, by %s', async (_, columns, statements, key) => {
    const channel = await table(
      columns,
      ...statements.map((statement) => statement.replaceAll('T_i', `i${tables + 1}`)),
    );
    expect((await stage.read(channel, USER)).key).toEqual(key);
  });

  it('has all partitions, and no children of a table by inheritance', async () => {
    const partitioned = await table(
      'id int',
      'drop table T',
      'create table T (id int) partition by range (id)',
      `grant select on T to authenticated`,
      'create table T_a partition of T for values from (0) to (10)',
      'create table T_b partition of T default',
      'insert into T values (1), (100)',
    );
    expect(await idsOf(partitioned, USER)).toEqual([1, 100]);
    const parent = await table(
      'id int',
      'create table T_c () inherits (T)',
      'insert into T values (1)',
      'insert into T_c values (2)',
    );
    expect(await idsOf(parent, USER)).toEqual([1]);
  });

  it('reads odd names', async () => {
    await history.sql('create schema "odd ""one"""');
    await history.sql(
      `create table "odd ""one"""."Select" ("from" int primary key, "a ""b""" text, "rowcast_snapshot" text)`,
    );
    await history.sql(`insert into "odd ""one"""."Select" values (1, 'x', 'y')`);
    const channel = 'db:"odd ""one"""."Select"';
    const { key, rows } = await stage.read(channel, { ...ADMIN, where: { 'a "b"': 'x' } });
    expect({ key, rows }).toEqual({
      key: ['from'],
      rows: [String.raw`{"from":1,"a \"b\"":"x","rowcast_snapshot":"y"}`],
    });
  });

  describe('of a table with generated columns', () => {
    const COLUMNS = 'id int primary key, twice int generated always as (id * 2) stored';

    it('has none where the stream has none', async () => {
      const channel = await table(COLUMNS, 'insert into T values (1)');
      expect((await stage.read(channel, USER)).rows).toEqual(['{"id":1}']);
    });

    it('has those that are published', async () => {
      const channel = await table(COLUMNS, 'insert into T values (1)');
      await history.sql(`select realtime.watch('${channel.slice(3)}')`);
      expect((await stage.read(channel, USER)).rows).toEqual([
        postgres.version >= 18 ? '{"id":1,"twice":2}' : '{"id":1}',
      ]);
    });
  });
});
