// Whoever asks for a snapshot gets the rows that are there and that it may see, then exactly the changes that they do
// not contain. Over sockets and real databases of both versions.

import { expect, it } from 'vitest';
import { describeDrawnPostgres, newestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { startTestApp, type TestApp } from './test-app.ts';
import type { Frame, TestClient } from './test-client.ts';

const ALICE = '00000000-0000-4000-8000-00000000000a';
const POSTS = `
  create table posts (id int primary key, title text, owner text, amount numeric(10,2), at timestamptz, secret text);
  alter table posts replica identity full, enable row level security;
  grant select (id, title, owner, amount, at) on posts to authenticated;
  create policy mine on posts for select to authenticated using (owner = auth.uid()::text);
  select realtime.watch('posts', full => true);
  insert into posts select n, 'post ' || n, case when n % 2 = 0 then '${ALICE}' else 'bob' end, n / 4.0, '2024-01-02 03:04:05+00', 's'
  from generate_series(1, 10) as n;`;

describeDrawnPostgres('a snapshot', (postgres) => {
  it('has the rows and columns that may be seen, as messages print them, and ends with live', async () => {
    await using app = await startTestApp(postgres, { sql: POSTS });
    const alice = await app.client(app.token('authenticated', { sub: ALICE }));
    await alice.subscribe('db:posts', { snapshot: true });
    await alice.next('live');
    expect(rowsOf(alice).map(({ id }) => id)).toEqual([2, 4, 6, 8, 10]);
    expect(alice.frames.filter(({ type }) => type === 'snapshot').at(-1)).toMatchObject({ done: true, key: ['id'] });
    const admin = await app.client();
    await admin.subscribe('db:posts');
    await app.database.query('update posts set title = title where id = 2');
    const [change] = await admin.received(1);
    const { secret, ...visible } = change?.payload.new ?? {};
    expect(secret).toBe('s');
    expect(rowsOf(alice)[0]).toEqual(visible);
  });

  it('is narrowed by where and columns', async () => {
    await using app = await startTestApp(postgres, { sql: POSTS });
    const client = await app.client();
    await client.subscribe('db:posts', {
      snapshot: true,
      filter: { where: { amount: { gt: 2 } }, columns: ['title'] },
    });
    await client.next('live');
    expect(rowsOf(client)).toEqual([
      { id: 9, title: 'post 9' },
      { id: 10, title: 'post 10' },
    ]);
  });
});

it('is refused where there is nothing to show, or no history to go on from', async () => {
  await using app = await startTestApp(newestPostgres(), {
    sql: `${POSTS}
    insert into realtime.channels (pattern) values ('room:*');
    create table not_kept (id int primary key); select realtime.watch('not_kept');
    update realtime.channels set persist = false where pattern = 'db:not_kept'`,
  });
  const client = await app.client();
  const refusal = (channel: string) =>
    client.subscribe(channel, { snapshot: true }).then(
      () => 'none',
      (error: Error) => error.message,
    );
  expect(await refusal('room:1')).toContain('snapshot_unavailable: Only tables');
  expect(await refusal('db:not_kept')).toContain('snapshot_unavailable: A snapshot needs');
});

it('follows what cannot be resumed, and does not follow what can', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS });
  const client = await app.client();
  const { position } = await client.subscribe('db:posts', { snapshot: true });
  await client.next('live');
  const again = await app.client();
  expect(await again.subscribe('db:posts', { snapshot: true, since: position })).toMatchObject({ recovered: true });
  await again.next('live');
  expect(rowsOf(again)).toEqual([]);
  const old = String(position).replace(/^.{8}/, '00000001');
  const lost = await app.client();
  expect(await lost.subscribe('db:posts', { snapshot: true, since: old })).toMatchObject({
    recovered: false,
    reason: 'epoch_changed',
  });
  await lost.next('live');
  expect(rowsOf(lost)).toHaveLength(10);
});

it('a policy that raises ends it, with an error and without a word of its own', async () => {
  await using app = await startTestApp(newestPostgres(), {
    sql: `${POSTS}
    drop policy mine on posts;
    create function fails() returns boolean language plpgsql as $$ begin raise exception 'the secret is 42'; end $$;
    create policy fails on posts for select to authenticated using (fails())`,
  });
  const alice = await app.client(app.token('authenticated', { sub: ALICE }));
  await alice.subscribe('db:posts', { snapshot: true });
  expect(await alice.next('unsubscribed')).toMatchObject({ reason: 'snapshot_failed' });
  expect(await alice.next('error')).toMatchObject({
    code: 'snapshot_unavailable',
    channel: 'db:posts',
    retryable: false,
  });
  expect(JSON.stringify(alice.frames)).not.toContain('secret is');
});

it('applied with the changes behind it, a copy equals the table, whenever it is taken', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS });
  const writer = keepWriting(app);
  const copies: TestClient[] = [];
  for (let round = 0; round < 8; round++) {
    const client = await app.client();
    await client.subscribe('db:posts', { snapshot: true });
    copies.push(client);
    const [before] = await app.database.query<{ n: number }>('select max(id)::int as n from posts');
    await until(
      async () =>
        ((await app.database.query<{ n: number }>('select max(id)::int as n from posts'))[0]?.n ?? 0) >
        (before?.n ?? 0) + 50,
    );
  }
  await writer.stop();
  await app.database.query(`insert into posts (id, title) values (1000000, 'the last')`);
  const table = await app.database.query<{ id: number }>('select id, title from posts order by id');
  for (const client of copies) {
    await until(() => client.changes().some(({ payload }) => payload.new?.id === 1_000_000), {
      what: 'the last change',
    });
    expect(copyOf(client)).toEqual(table);
  }
});

it('of a large table waits for its reader, and holds nothing up meanwhile', async () => {
  await using app = await startTestApp(newestPostgres(), {
    sql: `
    create table big (id int primary key, body text); select realtime.watch('big');
    insert into big select n, repeat('x', 500) from generate_series(1, 8000) as n`,
  });
  const client = await app.client();
  await client.subscribe('db:big', { snapshot: true });
  await client.next('live');
  expect(rowsOf(client)).toHaveLength(8_000);
  expect(client.frames.filter(({ type }) => type === 'snapshot').length).toBeGreaterThan(10);
});

function rowsOf(client: TestClient): Record<string, unknown>[] {
  return client.frames
    .filter(({ type }) => type === 'snapshot')
    .flatMap((frame) => frame.rows as Record<string, unknown>[]);
}

/** What a client has that applies every frame in its order. */
function copyOf(client: TestClient): { id: number; title: unknown }[] {
  const rows = new Map<number, { id: number; title: unknown }>();
  const put = (row: Record<string, unknown>): void =>
    void rows.set(Number(row.id), { id: Number(row.id), title: row.title });
  for (const frame of client.frames) {
    if (frame.type === 'snapshot') for (const row of frame.rows as Record<string, unknown>[]) put(row);
    if (frame.type === 'message') apply(frame, rows, put);
  }
  return [...rows.values()].sort((a, b) => a.id - b.id);
}

function apply(frame: Frame, rows: Map<number, unknown>, put: (row: Record<string, unknown>) => void): void {
  const { new: fresh, old } = frame.payload as {
    new: Record<string, unknown> | null;
    old: Record<string, unknown> | null;
  };
  // An event that does not fit the copy is a change that it contains already, or one that is missing.
  if (frame.event === 'INSERT' && rows.has(Number(fresh?.id))) throw new Error(`row ${fresh?.id} came twice`);
  if (frame.event !== 'INSERT' && !rows.has(Number(old?.id))) throw new Error(`row ${old?.id} was never there`);
  if (old !== null) rows.delete(Number(old.id));
  if (fresh !== null) put(fresh);
}

/** Inserts, updates and deletes, in transactions that overlap, until it is stopped. */
function keepWriting(app: TestApp): { stop(): Promise<void> } {
  let isStopped = false;
  let next = 100;
  const write = async (): Promise<void> => {
    const client = await app.database.connect();
    while (!isStopped) {
      const id = next++;
      await client.query('begin');
      await client.query(`insert into posts (id, title) values ($1, 'new')`, [id]);
      await client.query(`update posts set title = title || '.' where id = $1 or id = $2`, [id, id - 20]);
      if (id % 3 === 0) await client.query('delete from posts where id = $1', [id - 40]);
      await client.query(id % 7 === 0 ? 'rollback' : 'commit');
    }
    await client.end();
  };
  const writing = [write(), write(), write()];
  return {
    stop: async () => {
      isStopped = true;
      await Promise.all(writing);
    },
  };
}
