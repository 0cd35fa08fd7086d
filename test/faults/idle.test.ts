// A slot over tables where nothing happens: it lets go of the WAL of others, writes none of its own accord,
// keeps its epoch over restarts, and never holds up a database that wants to stop.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp, untilStreaming } from '../app/test-app.ts';
import type { TestClient } from '../app/test-client.ts';
import { figure } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import { type OwnCluster, startOwnCluster } from './own-cluster.ts';

const TABLES = `
  create table posts (id int primary key, title text);
  create table unwatched (body text);
  select realtime.watch('posts');`;
const WRITE_UNWATCHED = `insert into unwatched select repeat(md5(n::text), 30) from generate_series(1, $1::int) as n`;

// Its WAL is written by these tests and the server alone.
let cluster: OwnCluster;
beforeAll(async () => {
  cluster = await startOwnCluster({ autovacuum: false, checkpoint_timeout: '1h' });
});
afterAll(() => cluster[Symbol.asyncDispose]());

it('lets the WAL of others go once there is more of it than the bound', async () => {
  const env = { ROWCAST_IDLE_RAISE: '64KiB', ROWCAST_STATUS_INTERVAL: '100ms' };
  await using app = await startTestApp(cluster.postgres, { sql: TABLES, env });
  const before = await walEnd(app);
  for (let round = 0; round < 5; round++) await app.database.query(WRITE_UNWATCHED, [1_000]);
  const written = Number((await walEnd(app)) - before);
  await until(async () => (await heldBytes(app)) < 64 * 1024, { what: 'the slot to let go' });
  figure(`idle: ${written} bytes of others' WAL were let go, ${await heldBytes(app)} are held (bound ${64 * 1024})`);
  expect(written).toBeGreaterThan(4_000_000);
});

it('lets less than the bound go after a while', async () => {
  const env = { ROWCAST_IDLE_RAISE: '1GiB', ROWCAST_IDLE_RAISE_INTERVAL: '300ms', ROWCAST_STATUS_INTERVAL: '100ms' };
  await using app = await startTestApp(cluster.postgres, { sql: TABLES, env });
  await app.database.query(WRITE_UNWATCHED, [200]);
  const written = await walEnd(app);
  await until(async () => (await confirmed(app)) >= written, { what: 'the slot to let go' });
});

it('stands still when nobody writes, whatever the bounds', async () => {
  const env = { ROWCAST_IDLE_RAISE: '1', ROWCAST_IDLE_RAISE_INTERVAL: '1ms', ROWCAST_STATUS_INTERVAL: '20ms' };
  await using app = await startTestApp(cluster.postgres, { sql: TABLES, env });
  await app.database.query(`insert into posts values (1, 'New Post')`);
  await until(async () => (await app.database.query('select from realtime.changes')).length === 1);
  await app.database.query(WRITE_UNWATCHED, [2_000]);
  await until(async () => (await heldBytes(app)) < 16 * 1024);
  const settled = async (): Promise<bigint | undefined> => {
    const before = await walEnd(app);
    await app.database.query('select pg_sleep(0.3)');
    return (await walEnd(app)) === before ? before : undefined;
  };
  const before = await until(settled, { what: 'the last writing of before to end' });
  const xid = await nextXid(app);
  await app.database.query('select pg_sleep(2)');
  expect(await nextXid(app)).toBe(xid);
  // Postgres itself notes the running transactions now and then.
  expect(Number((await walEnd(app)) - before)).toBeLessThan(256);
});

it('keeps its epoch over restarts after it was idle', async () => {
  const env = { ROWCAST_IDLE_RAISE: '32KiB', ROWCAST_STATUS_INTERVAL: '100ms' };
  await using app = await startTestApp(cluster.postgres, { sql: TABLES, env });
  for (let restart = 1; restart <= 4; restart++) {
    await app.database.query(WRITE_UNWATCHED, [restart * 300]);
    await until(async () => (await heldBytes(app)) < 32 * 1024, { what: 'the slot to let go' });
    await app.restart();
  }
  expect(app.logLines.filter(({ message }) => message === 'a new epoch begins')).toHaveLength(1);
});

it.each([
  ['nothing', 0],
  ['idle WAL that may not be confirmed', 600],
])(
  'a fast shutdown of the database is over soon with %s outstanding, and the server comes back by itself',
  async (what, rows) => {
    await using app = await startTestApp(cluster.postgres, { sql: TABLES, env: { ROWCAST_RECONNECT_MAX: '500ms' } });
    const client = await app.client();
    await client.subscribe('db:posts');
    await untilPartitioned(app);
    await app.database.query(`insert into posts values (1, 'before')`);
    await until(async () => (await heldBytes(app)) < 64 * 1024, { what: 'the slot to let go' });
    if (rows > 0) await app.database.query(WRITE_UNWATCHED, [rows]);
    const held = await heldBytes(app);
    expect(held > 200_000).toBe(rows > 0);
    const tookMs = await cluster.stopFast();
    figure(`fast shutdown with ${what} outstanding (${held} bytes): ${Math.round(tookMs)} ms`);
    expect(tookMs).toBeLessThan(5_000);
    await expectComeback(app, client);
  },
);

it('a fast shutdown in the middle of a burst is over soon, and every change comes once', async () => {
  await using app = await startTestApp(cluster.postgres, { sql: TABLES, env: { ROWCAST_RECONNECT_MAX: '500ms' } });
  const client = await app.client();
  await client.subscribe('db:posts');
  await app.database.query(`insert into posts select n, 'New Post' from generate_series(1001, 31000) as n`);
  await until(() => client.changes().length > 0, { everyMs: 1 });
  const tookMs = await cluster.stopFast();
  figure(`fast shutdown in the middle of a burst: ${Math.round(tookMs)} ms`);
  expect(tookMs).toBeLessThan(5_000);
  await cluster.revive();
  const changes = await client.received(30_000, 20_000);
  expect(changes.map(({ payload }) => payload.new?.id)).toEqual(Array.from({ length: 30_000 }, (_, n) => 1_001 + n));
  await untilStreaming(app);
});

it('a database that is killed is found again, and every change comes once', async () => {
  await using app = await startTestApp(cluster.postgres, { sql: TABLES, env: { ROWCAST_RECONNECT_MAX: '500ms' } });
  const client = await app.client();
  await client.subscribe('db:posts');
  await app.database.query(`insert into posts values (1, 'before')`);
  await cluster.kill();
  await expectComeback(app, client);
});

/** The days of history are made at the start, and what that writes is held like anybody's. */
async function untilPartitioned(app: TestApp): Promise<void> {
  const made = async (): Promise<number> => (await app.database.query('select from realtime.partitions()')).length;
  await until(async () => (await made()) === 16, { what: 'the days of history to be made' });
}

/** Brings the database back and expects that those who stayed connected get both changes, each once. */
async function expectComeback(app: TestApp, client: TestClient): Promise<void> {
  await until(() => app.app().status().status === 'stalled');
  await cluster.revive();
  await untilStreaming(app);
  await app.database.query(`insert into posts values (2, 'after')`);
  const changes = await client.received(2);
  expect(changes.map(({ payload }) => payload.new?.id)).toEqual([1, 2]);
  const told = client.frames.filter(({ type }) => type === 'system' || type === 'gap');
  expect(told.map(({ type, status }) => status ?? type)).toEqual(['stalled', 'streaming']);
  expect(client.closeCode).toBeUndefined();
}

async function walEnd({ database }: TestApp): Promise<bigint> {
  const [row] = await database.query<{ n: string }>(`select (pg_current_wal_lsn() - '0/0')::text as n`);
  return BigInt(row?.n ?? 0);
}

/** Grows with every transaction that writes. */
async function nextXid({ database }: TestApp): Promise<string | undefined> {
  const [row] = await database.query<{ xid: string }>('select pg_snapshot_xmax(pg_current_snapshot())::text as xid');
  return row?.xid;
}

async function confirmed({ database }: TestApp): Promise<bigint> {
  const [row] = await database.query<{ n: string }>(
    `select (confirmed_flush_lsn - '0/0')::text as n from pg_replication_slots where slot_name = $1`,
    [database.slot],
  );
  return BigInt(row?.n ?? 0);
}

async function heldBytes(app: TestApp): Promise<number> {
  return Number((await walEnd(app)) - (await confirmed(app)));
}
