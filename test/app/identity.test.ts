// Which rows and columns a change carries: under every replica identity, with large values, partitions,
// generated columns, odd names and odd transactions.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeDrawnPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { startTestApp, type TestApp } from './test-app.ts';
import type { ChangeFrame, TestClient } from './test-client.ts';

describeDrawnPostgres('a change', (postgres) => {
  let app: TestApp;

  beforeAll(async () => {
    app = await startTestApp(postgres, { env: { ROWCAST_MAX_MESSAGE: '256KiB' } });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const run = (sql: string): Promise<unknown> => app.database.query(sql);

  /** Runs `sql`, watches `table`, and gives a client that is subscribed to it. */
  async function watching(sql: string, table: string, channel = `db:${table}`): Promise<TestClient> {
    await run(`${sql}; select realtime.watch('${table}')`);
    const client = await app.client();
    await client.subscribe(channel);
    return client;
  }

  it('under the default identity carries the key as its old row, the one before where it changed', async () => {
    const client = await watching('create table by_default (id int primary key, n int, note text)', 'by_default');
    await run(`insert into by_default values (1, 10, 'a'), (2, 20, null)`);
    await run(`update by_default set n = 11 where id = 1`);
    await run(`update by_default set id = 3 where id = 1`);
    await run(`delete from by_default where id = 2`);
    await run(`truncate by_default`);
    expect(summary(await client.received(6))).toEqual([
      ['INSERT', { id: 1, n: 10, note: 'a' }, null],
      ['INSERT', { id: 2, n: 20, note: null }, null],
      ['UPDATE', { id: 1, n: 11, note: 'a' }, { id: 1 }],
      ['UPDATE', { id: 3, n: 11, note: 'a' }, { id: 1 }],
      ['DELETE', null, { id: 2 }],
      ['TRUNCATE', null, null],
    ]);
  });

  it('under an index as identity carries the columns of that index', async () => {
    const client = await watching(
      `create table by_index (id int primary key, code text not null, region int not null, n int);
       create unique index by_index_code on by_index (region, code);
       alter table by_index replica identity using index by_index_code`,
      'by_index',
    );
    await run(`insert into by_index values (1, 'a', 7, 10)`);
    await run(`update by_index set n = 11, id = 2`);
    await run(`update by_index set code = 'b'`);
    await run(`delete from by_index`);
    expect(summary(await client.received(4))).toEqual([
      ['INSERT', { id: 1, code: 'a', region: 7, n: 10 }, null],
      ['UPDATE', { id: 2, code: 'a', region: 7, n: 11 }, { code: 'a', region: 7 }],
      ['UPDATE', { id: 2, code: 'b', region: 7, n: 11 }, { code: 'a', region: 7 }],
      ['DELETE', null, { code: 'b', region: 7 }],
    ]);
  });

  it('under the full identity carries the whole old row', async () => {
    await run('create table by_full (id int primary key, n int, note text)');
    await run(`select realtime.watch('by_full', "full" => true)`);
    const client = await app.client();
    await client.subscribe('db:by_full');
    await run(`insert into by_full values (1, 10, null)`);
    await run(`update by_full set n = 11`);
    await run(`delete from by_full`);
    expect(summary(await client.received(3))).toEqual([
      ['INSERT', { id: 1, n: 10, note: null }, null],
      ['UPDATE', { id: 1, n: 11, note: null }, { id: 1, n: 10, note: null }],
      ['DELETE', null, { id: 1, n: 11, note: null }],
    ]);
  });

  it.each([
    ['has no key', 'without_key', 'create table without_key (n int)'],
    [
      'has identity nothing',
      'by_nothing',
      'create table by_nothing (n int primary key); alter table by_nothing replica identity nothing',
    ],
  ])('of a table that %s comes for INSERT and TRUNCATE only, and subscribers are told', async (_, table, sql) => {
    await run(`${sql}; select realtime.watch('${table}')`);
    const client = await app.client();
    const { warnings } = await client.subscribe(`db:${table}`);
    expect(warnings).toEqual([{ code: 'inserts_only', message: expect.stringContaining('INSERT and TRUNCATE') }]);
    await run(`insert into ${table} values (1)`);
    await run(`update ${table} set n = 2`);
    await run(`delete from ${table}`);
    await run(`truncate ${table}`);
    expect(summary(await client.received(2))).toEqual([
      ['INSERT', { n: 1 }, null],
      ['TRUNCATE', null, null],
    ]);
  });

  it('lists large values that were not resent, without the full identity', async () => {
    const client = await watching(
      `create table large_default (id int primary key, body text, "big ""json""" jsonb, n int);
       alter table large_default alter body set storage external, alter "big ""json""" set storage external`,
      'large_default',
    );
    await run(`insert into large_default values (1, repeat('x', 9000), to_jsonb(repeat('y', 9000)), 1)`);
    await run(`update large_default set n = 2`);
    await run(`update large_default set body = 'short'`);
    await run(`update large_default set body = null, "big ""json""" = null`);
    const [, first, second, third] = await client.received(4);
    expect(first?.payload).toMatchObject({ new: { id: 1, n: 2 }, old: { id: 1 }, unchanged: ['body', 'big "json"'] });
    expect(Object.keys(first?.payload.new ?? {})).toEqual(['id', 'n']);
    expect(second?.payload).toMatchObject({ new: { id: 1, body: 'short', n: 2 }, unchanged: ['big "json"'] });
    expect(third?.payload.new).toEqual({ id: 1, body: null, 'big "json"': null, n: 2 });
    expect(third?.payload).not.toHaveProperty('unchanged');
    const images = await history('large_default', 4);
    expect(images.map(({ new_image }) => Object.keys(new_image ?? {}))).toEqual([
      ['big "json"'],
      [],
      [],
      ['big "json"'],
    ]);
  });

  it('carries large values that were not resent under the full identity', async () => {
    const client = await watching(
      `create table large_full (id int primary key, body text, n int);
       alter table large_full alter body set storage external; alter table large_full replica identity full`,
      'large_full',
    );
    await run(`insert into large_full values (1, repeat('x', 9000), 1)`);
    await run(`update large_full set n = 2`);
    const [, change] = await client.received(2);
    const body = 'x'.repeat(9000);
    expect(change?.payload).toMatchObject({ new: { id: 1, body, n: 2 }, old: { id: 1, body, n: 1 } });
    expect(change?.payload).not.toHaveProperty('unchanged');
  });

  it('of a large key carries the key', async () => {
    const client = await watching(
      `create table large_key (id text primary key, n int); alter table large_key alter id set storage external`,
      'large_key',
    );
    await run(`insert into large_key values (repeat('k', 2400), 1)`);
    await run(`update large_key set n = 2`);
    const [, change] = await client.received(2);
    expect(change?.payload.old).toEqual({ id: 'k'.repeat(2400) });
  });

  it.each(['default', 'full'])('too large for a message carries its key and says so, identity %s', async (identity) => {
    const table = `too_large_${identity}`;
    const client = await watching(
      `create table ${table} (tenant int, id int, body text, primary key (id, tenant));
       alter table ${table} replica identity ${identity}`,
      table,
    );
    await run(`insert into ${table} values (7, 1, repeat('x', 300000))`);
    await run(`update ${table} set body = repeat('y', 300000)`);
    await run(`update ${table} set body = 'small'`);
    await run(`delete from ${table}`);
    const key = { tenant: 7, id: 1 };
    const changes = await client.received(4);
    expect(changes.slice(0, 2).map(({ payload }) => [payload.new, payload.old, payload.truncated])).toEqual([
      [key, null, true],
      [key, key, true],
    ]);
    const isFull = identity === 'full';
    expect(changes[2]?.payload).toMatchObject(
      isFull ? { new: key, old: key, truncated: true } : { new: { ...key, body: 'small' }, old: key },
    );
    expect(changes[3]?.payload).toMatchObject({ new: null, old: isFull ? { ...key, body: 'small' } : key });
    const [first] = await history(table, 4);
    expect(first?.new_image).toEqual({ tenant: '7', id: '1', body: 'x'.repeat(300_000) });
  });

  it('of a partition comes under its root, also where a row moves to another partition', async () => {
    const client = await watching(
      `create table parts (id int, region text, n int, primary key (id, region)) partition by list (region);
       create table parts_eu (n int, region text not null, id int not null);
       alter table parts attach partition parts_eu for values in ('eu');
       create table parts_us partition of parts for values in ('us')`,
      'parts',
    );
    await run(`insert into parts values (1, 'eu', 10), (2, 'us', 20)`);
    await run(`update parts_eu set n = 11`);
    await run(`update parts set region = 'us' where id = 1`);
    await run(`delete from parts where id = 2`);
    await run(`truncate parts`);
    const changes = await client.received(7);
    expect(summary(changes)).toEqual([
      ['INSERT', { id: 1, region: 'eu', n: 10 }, null],
      ['INSERT', { id: 2, region: 'us', n: 20 }, null],
      ['UPDATE', { id: 1, region: 'eu', n: 11 }, { id: 1, region: 'eu' }],
      ['DELETE', null, { id: 1, region: 'eu' }],
      ['INSERT', { id: 1, region: 'us', n: 11 }, null],
      ['DELETE', null, { id: 2, region: 'us' }],
      ['TRUNCATE', null, null],
    ]);
    expect(new Set(changes.map(({ payload }) => payload.table))).toEqual(new Set(['parts']));
  });

  it('carries a stored generated column where the server can publish it', async () => {
    const client = await watching(
      'create table generated (id int primary key, n int, doubled int generated always as (n * 2) stored)',
      'generated',
    );
    await run('insert into generated values (1, 4)');
    await run('update generated set n = 5');
    const doubled = (value: number) => (postgres.version >= 18 ? { doubled: value } : {});
    expect(summary(await client.received(2))).toEqual([
      ['INSERT', { id: 1, n: 4, ...doubled(8) }, null],
      ['UPDATE', { id: 1, n: 5, ...doubled(10) }, { id: 1 }],
    ]);
  });

  it('of a table with any name and columns of any name comes in both spellings', async () => {
    const names = ['id', 'a "b" c', '__proto__', 'new', 'ünï\tcode', 'type', 'constructor', 'épée😀', ' '];
    const columns = names.map(
      (name, index) => `"${name.replaceAll('"', '""')}" int ${index === 0 ? 'primary key' : ''}`,
    );
    await run(`create schema audit; create table audit."Order Items" (${columns.join(', ')})`);
    await run(`select realtime.watch('audit."Order Items"')`);
    const client = await app.client();
    const canonical = await client.subscribe('db:audit."Order Items"');
    const other = await client.subscribe('db:"Order Items"', { filter: { schema: 'audit' } });
    await run(`insert into audit."Order Items" values (${names.map((_, index) => index).join(', ')})`);
    const changes = await client.received(2);
    expect(changes.map(({ channel, subscriptionId }) => [channel, subscriptionId])).toEqual([
      ['db:audit."Order Items"', canonical.subscriptionId],
      ['db:"Order Items"', other.subscriptionId],
    ]);
    const row = changes[0]?.payload.new ?? {};
    expect(Object.keys(row)).toEqual(names);
    expect(Object.values(row)).toEqual(names.map((_, index) => index));
    expect(changes[0]?.payload).toMatchObject({ schema: 'audit', table: 'Order Items' });
    expect(await history('audit."Order Items"', 1)).toHaveLength(1);
  });

  it('of a table whose name is a keyword comes as well', async () => {
    const client = await watching('create table "order" (id int primary key, "select" int)', '"order"', 'db:order');
    await run('insert into "order" values (1, 2)');
    expect(summary(await client.received(1))).toEqual([['INSERT', { id: 1, select: 2 }, null]]);
  });

  it('of one TRUNCATE of several tables comes once for each, with a position of its own', async () => {
    await run(`create table trunc_a (id int primary key);
      create table trunc_b (id int primary key references trunc_a);
      create table trunc_c (id int primary key);
      select realtime.watch('trunc_a'), realtime.watch('trunc_b')`);
    const client = await app.client();
    await client.subscribe('db:trunc_a');
    await client.subscribe('db:trunc_b');
    await run('truncate trunc_a, trunc_c cascade');
    const changes = await client.received(2);
    expect(changes.map(({ channel }) => channel).sort()).toEqual(['db:trunc_a', 'db:trunc_b']);
    expect(new Set(changes.map(({ messageId }) => messageId)).size).toBe(2);
    expect(growing(changes)).toBe(true);
  });

  it('that was undone by a savepoint does not come, and the others keep their order', async () => {
    const client = await watching('create table saved (id int primary key, n int)', 'saved');
    await run(`begin;
      insert into saved values (1, 1);
      savepoint a; insert into saved values (2, 2); update saved set n = 9; rollback to a;
      savepoint b; insert into saved values (3, 3); savepoint c; insert into saved values (4, 4); release b;
      do $$ begin insert into saved values (5, 5); begin insert into saved values (1, 1); exception when others then null; end; end $$;
      commit`);
    const changes = await client.received(4);
    expect(changes.map(({ payload }) => payload.new?.id)).toEqual([1, 3, 4, 5]);
    expect(growing(changes)).toBe(true);
  });

  it('comes in commit order, across tables and connections, its transaction in one piece', async () => {
    await run(`create table order_a (id int primary key); create table order_b (id int primary key);
      select realtime.watch('order_a'), realtime.watch('order_b')`);
    const client = await app.client();
    await client.subscribe('db:order_a');
    await client.subscribe('db:order_b', { filter: { event: ['INSERT', 'DELETE'] } });
    await client.subscribe('db:order_b', { filter: { event: 'INSERT' } });
    const [one, two] = [await app.database.connect(), await app.database.connect()];
    await one.query('begin; insert into order_a values (1)');
    await two.query('begin; insert into order_a values (2); insert into order_b values (2)');
    await one.query('insert into order_b values (1); update order_b set id = 3; delete from order_b');
    await two.query('commit');
    await one.query('commit');
    await Promise.all([one.end(), two.end()]);
    const changes = await client.received(7);
    expect(changes.map(({ channel, event, payload }) => [channel, event, (payload.new ?? payload.old)?.id])).toEqual([
      ['db:order_a', 'INSERT', 2],
      ['db:order_b', 'INSERT', 2],
      ['db:order_b', 'INSERT', 2],
      ['db:order_a', 'INSERT', 1],
      ['db:order_b', 'INSERT', 1],
      ['db:order_b', 'INSERT', 1],
      ['db:order_b', 'DELETE', 3],
    ]);
    expect(growing(changes)).toBe(true);
  });

  it('is not made up by logical messages, whoever emits them', async () => {
    const client = await watching('create table honest (id int primary key)', 'honest');
    await run(`insert into honest values (1)`);
    await run(`begin;
      select pg_logical_emit_message(true, 'rowcast', '{"type":"message"}'), pg_logical_emit_message(false, 'rowcast', 'x');
      insert into honest values (2);
      select pg_logical_emit_message(true, '', repeat('x', 100000));
      insert into honest values (3);
      commit`);
    const changes = await client.received(3);
    expect(changes.map(({ payload }) => payload.new?.id)).toEqual([1, 2, 3]);
    expect(client.frames.filter(({ type }) => !['auth_success', 'subscribed', 'message'].includes(type))).toEqual([]);
  });

  it('of a prepared transaction comes with its COMMIT PREPARED', async () => {
    const client = await watching('create table prepared (id int primary key)', 'prepared');
    const name = `p_${app.database.name}`;
    await run(`begin; insert into prepared values (1); prepare transaction '${name}'`);
    await run(`begin; insert into prepared values (2); prepare transaction '${name}_undone'`);
    await run('insert into prepared values (3)');
    await run(`commit prepared '${name}'`);
    await run(`rollback prepared '${name}_undone'`);
    await run('insert into prepared values (4)');
    const changes = await client.received(3);
    expect(changes.map(({ payload }) => payload.new?.id)).toEqual([3, 1, 4]);
    expect(growing(changes)).toBe(true);
  });

  async function history(relation: string, count: number): Promise<{ new_image: Record<string, string> | null }[]> {
    return until(
      async () => {
        const rows = await app.database.query<{ new_image: Record<string, string> | null }>(
          'select new_image from realtime.changes where relation = $1 order by position',
          [relation],
        );
        return rows.length === count ? rows : undefined;
      },
      { what: `${count} changes of ${relation} in history` },
    );
  }
});

function summary(changes: readonly ChangeFrame[]): unknown[] {
  return changes.map(({ event, payload }) => [event, payload.new, payload.old]);
}

function growing(changes: readonly ChangeFrame[]): boolean {
  return changes.every(
    ({ position, messageId }, index) =>
      index === 0 ||
      position > String(changes[index - 1]?.position) ||
      (position === changes[index - 1]?.position && messageId === changes[index - 1]?.messageId),
  );
}
