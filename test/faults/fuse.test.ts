// The WAL fuse: when the slot holds back too much, live work is shed and everybody is told; when that does not
// help, the slot is given up rather than the database's disk, and a new epoch begins.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp, untilStreaming } from '../app/test-app.ts';
import type { TestClient } from '../app/test-client.ts';
import { figure } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import { type OwnCluster, startOwnCluster } from './own-cluster.ts';

const TABLES = `
  create table posts (id serial primary key, title text);
  create table unwatched (body text);
  select realtime.watch('posts');`;
const INSERT = `insert into posts (title) values ('New Post')`;
/** About a megabyte of WAL. */
const WRITE_WAL = `insert into unwatched select repeat(md5(n::text), 30) from generate_series(1, 1000) as n`;
const QUICK = { ROWCAST_SLOT_WATCH: '50ms', ROWCAST_STATUS_INTERVAL: '100ms', ROWCAST_RECONNECT_MAX: '200ms' };

// Its WAL is written by these tests and the server alone.
let cluster: OwnCluster;
beforeAll(async () => {
  cluster = await startOwnCluster({ autovacuum: false, checkpoint_timeout: '1h', max_wal_size: '1GB' });
});
afterAll(() => cluster[Symbol.asyncDispose]());

it('sheds live work above half of the bound, tells what was left out, and history has it', async () => {
  await using app = await startTestApp(cluster.postgres, {
    sql: TABLES,
    env: { ...QUICK, ROWCAST_MAX_RETAINED_WAL: '64MiB' },
  });
  const client = await app.client();
  await client.subscribe('db:posts');
  await app.database.query(INSERT);
  await client.received(1);
  await using lock = await blockedJournal(app);
  await client.received(2);
  await writeWal(app, 34);
  await until(() => system(client).at(-1) === 'stalled', { what: 'live work to be shed' });
  await expect(client.subscribe('db:posts')).rejects.toThrow('unavailable');
  for (let n = 0; n < 3; n++) await app.database.query(INSERT);
  await lock.release();
  const gap = await client.next('gap');
  await until(() => system(client).at(-1) === 'streaming', { what: 'changes to flow again' });
  await app.database.query(INSERT);
  await client.received(3);
  expect(ids(client)).toEqual([1, 2, 6]);
  expect(gap).toMatchObject({ reason: 'wal_fuse' });
  const resumed = await app.client();
  expect(await resumed.subscribe('db:posts', { since: gap.from })).toMatchObject({ recovered: true });
  await until(() => resumed.changes().length >= 4, { what: 'what was left out' });
  expect(ids(resumed)).toEqual([3, 4, 5, 6]);
  expect(epochs(app)).toEqual(['first_start']);
});

it('gives up the slot above all of the bound, so that the WAL can go, and tells of the new epoch', async () => {
  await using app = await startTestApp(cluster.postgres, {
    sql: TABLES,
    env: { ...QUICK, ROWCAST_MAX_RETAINED_WAL: '16MiB' },
  });
  const client = await app.client();
  await client.subscribe('db:posts');
  await using lock = await blockedJournal(app);
  await client.received(1);
  await writeWal(app, 10);
  await until(() => system(client).at(-1) === 'stalled', { what: 'live work to be shed' });
  const before = await retainedBytes(app);
  await writeWal(app, 10);
  await until(async () => (await retainedBytes(app)) < 2 * 1024 * 1024, { what: 'the WAL to be let go' });
  figure(`fuse: the slot held back ${before} bytes and more, then ${await retainedBytes(app)}`);
  await lock.release();
  await untilStreaming(app);
  expect(await client.next('gap')).toMatchObject({ reason: 'epoch_changed' });
  expect(epochs(app)).toEqual(['first_start', 'wal_fuse']);
  await app.database.query(INSERT);
  const [, change] = await client.received(2);
  expect(change?.payload.new?.id).toBe(2);
  expect(system(client)).toEqual(['stalled', 'slot_lost', 'streaming']);
});

/** Makes the journal wait in the middle of a transaction, so that nothing is confirmed. */
async function blockedJournal({ database }: TestApp): Promise<AsyncDisposable & { release(): Promise<void> }> {
  const lock = await database.connect();
  await lock.query('begin; lock table realtime.changes in access exclusive mode');
  await database.query(INSERT);
  const waiting = `
    select from pg_stat_activity
    where datname = current_database() and application_name = 'rowcast journal' and wait_event_type = 'Lock'`;
  await until(async () => (await database.query(waiting)).length === 1, { what: 'the journal to wait' });
  let released: Promise<void> | undefined;
  const release = (): Promise<void> => (released ??= lock.query('commit').then(() => lock.end()));
  return { release, [Symbol.asyncDispose]: release };
}

async function writeWal({ database }: TestApp, mebibytes: number): Promise<void> {
  for (let n = 0; n < mebibytes; n++) await database.query(WRITE_WAL);
}

async function retainedBytes({ database }: TestApp): Promise<number> {
  const [row] = await database.query<{ n: number }>(
    `select coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::int as n
     from pg_replication_slots where slot_name = $1`,
    [database.slot],
  );
  return row?.n ?? 0;
}

function system({ frames }: TestClient): unknown[] {
  return frames.filter(({ type }) => type === 'system').map(({ status }) => status);
}

function ids(client: TestClient): unknown[] {
  return client.changes().map(({ payload }) => payload.new?.id);
}

function epochs({ logLines }: TestApp): unknown[] {
  return logLines.filter(({ message }) => message === 'a new epoch begins').map(({ fields }) => fields.reason);
}
