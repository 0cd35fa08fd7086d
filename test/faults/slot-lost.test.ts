// A slot that the database invalidates, under a stream or while no server runs: a new one is made, a new epoch
// begins, and everybody is told. Never a stream that is silently dead.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp, untilStreaming } from '../app/test-app.ts';
import { isSoak } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import { type OwnCluster, startOwnCluster } from './own-cluster.ts';

const TABLES = `
  create table posts (id serial primary key, title text);
  create table unwatched (body text);
  select realtime.watch('posts');`;
const INSERT = `insert into posts (title) values ('New Post')`;
/** About a megabyte of WAL. */
const WRITE_WAL = `insert into unwatched select repeat(md5(n::text), 30) from generate_series(1, 1000) as n`;
/** What the slot holds back is not looked at here, so that the database is the first to act. */
const ENV = { ROWCAST_SLOT_WATCH: '1d', ROWCAST_RECONNECT_MAX: '200ms' };

let cluster: OwnCluster;
beforeAll(async () => {
  cluster = await startOwnCluster({
    ...{ autovacuum: false, checkpoint_timeout: '1h' },
    ...{ max_slot_wal_keep_size: '16MB', min_wal_size: '32MB', max_wal_size: '64MB', wal_keep_size: 0 },
  });
});
afterAll(() => cluster[Symbol.asyncDispose]());

it('a slot that is invalidated under the stream is told as lost, and replaced', async () => {
  await using app = await startTestApp(cluster.postgres, { sql: TABLES, env: ENV });
  const client = await app.client();
  await client.subscribe('db:posts');
  // Nothing is confirmed while the journal waits.
  const lock = await app.database.connect();
  await lock.query('begin; lock table realtime.changes in access exclusive mode');
  await app.database.query(INSERT);
  await client.received(1);
  await exceedLimit(app);
  await until(async () => (await slotState(app)) === 'lost', { what: 'the slot to be invalidated' });
  await lock.query('commit');
  await lock.end();
  expect(await client.next('gap')).toMatchObject({ reason: 'epoch_changed' });
  await untilStreaming(app);
  await app.database.query(INSERT);
  const [, change] = await client.received(2);
  expect(change?.payload.new?.id).toBe(2);
  expect(client.frames.filter(({ type }) => type === 'system').map(({ status }) => status)).toEqual([
    'stalled',
    'slot_lost',
    'streaming',
  ]);
  expect(epochs(app)).toEqual(['first_start', 'slot_lost']);
});

it('a slot that was invalidated while no server ran is replaced at the next start', async () => {
  await using app = await startTestApp(cluster.postgres, { sql: TABLES, env: ENV });
  await app.app().stop();
  await exceedLimit(app);
  expect(await slotState(app)).toBe('lost');
  await app.restart();
  expect(epochs(app)).toEqual(['first_start', 'slot_lost']);
  await expectToWork(app);
});

it.skipIf(!isSoak)('a slot that nobody read for too long is replaced at the next start (PostgreSQL 18)', async () => {
  await using app = await startTestApp(cluster.postgres, { sql: TABLES, env: ENV });
  await app.app().stop();
  await cluster.run(`alter system set idle_replication_slot_timeout = '1s'`);
  await cluster.run('select pg_reload_conf()');
  const isInvalid = async (): Promise<boolean> => {
    await cluster.run('checkpoint');
    return (await slotState(app)) === 'lost';
  };
  await until(isInvalid, { what: 'the slot to be invalidated', everyMs: 200 });
  await cluster.run('alter system reset idle_replication_slot_timeout');
  await cluster.run('select pg_reload_conf()');
  await app.restart();
  expect(epochs(app)).toEqual(['first_start', 'slot_lost']);
  await expectToWork(app);
});

/** Writes more WAL than a slot may hold back, and has it removed. */
async function exceedLimit({ database }: TestApp): Promise<void> {
  for (let n = 0; n < 3; n++) {
    for (let mebibyte = 0; mebibyte < 17; mebibyte++) await database.query(WRITE_WAL);
    await database.query('checkpoint');
  }
}

async function slotState({ database }: TestApp): Promise<string | undefined> {
  const [row] = await database.query<{ state: string }>(
    'select wal_status as state from pg_replication_slots where slot_name = $1',
    [database.slot],
  );
  return row?.state;
}

async function expectToWork(app: TestApp): Promise<void> {
  const client = await app.client();
  await client.subscribe('db:posts');
  await app.database.query(INSERT);
  await client.received(1);
}

function epochs({ logLines }: TestApp): unknown[] {
  return logLines.filter(({ message }) => message === 'a new epoch begins').map(({ fields }) => fields.reason);
}
