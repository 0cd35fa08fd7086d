// The stream under a short wal_sender_timeout: while it waits for the journal it stays alive, and a database
// that falls silent is noticed.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestApp, type TestApp, untilStreaming } from '../app/test-app.ts';
import { figure } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import { type OwnCluster, startOwnCluster } from './own-cluster.ts';

const POSTS = `create table posts (id int primary key, title text); select realtime.watch('posts')`;
const TIMEOUT_MS = 1_000;

let cluster: OwnCluster;
beforeAll(async () => {
  cluster = await startOwnCluster({ wal_sender_timeout: `${TIMEOUT_MS}ms` });
});
afterAll(() => cluster[Symbol.asyncDispose]());

it('keeps its connection while the journal holds the stream up for longer than wal_sender_timeout', async () => {
  await using app = await startTestApp(cluster.postgres, { sql: POSTS, env: { ROWCAST_MAX_AHEAD: '64KiB' } });
  const client = await app.client();
  await client.subscribe('db:posts');
  const walsender = await walsenderPid(app);
  const lock = await app.database.connect();
  await lock.query('begin; lock table realtime.changes in access exclusive mode');
  // More than what the queue and the kernel's buffers take, so that the database cannot send.
  await app.database.query(`insert into posts select n, repeat('x', 500) from generate_series(1, 30000) as n`);
  await lock.query('select pg_sleep(3.5)');
  const ahead = client.changes().length;
  expect(await walsenderPid(app)).toBe(walsender);
  await lock.query('commit');
  await lock.end();
  const changes = await client.received(30_000, 30_000);
  expect(changes.map(({ payload }) => payload.new?.id)).toEqual(Array.from({ length: 30_000 }, (_, n) => n + 1));
  expect(client.frames.filter(({ type }) => type === 'system')).toEqual([]);
  figure(`backpressure: the journal was held up for 3.5 s, fan-out ran ${ahead} of 30000 changes ahead and waited`);
  expect(ahead).toBeLessThan(30_000);
});

it('notices a database that falls silent, and goes on when it is back', async () => {
  await using app = await startTestApp(cluster.postgres, { sql: POSTS, env: { ROWCAST_RECONNECT_MAX: '200ms' } });
  const client = await app.client();
  await client.subscribe('db:posts');
  const walsender = await walsenderPid(app);
  const startedAt = performance.now();
  process.kill(walsender, 'SIGSTOP');
  try {
    await app.database.query(`insert into posts values (1, 'while nobody sends')`);
    await until(() => app.app().status().status === 'stalled', { what: 'the silence to be noticed' });
    figure(
      `silence: noticed after ${Math.round(performance.now() - startedAt)} ms (wal_sender_timeout ${TIMEOUT_MS} ms)`,
    );
  } finally {
    process.kill(walsender, 'SIGCONT');
  }
  await untilStreaming(app);
  await app.database.query(`insert into posts values (2, 'again')`);
  const changes = await client.received(2);
  expect(changes.map(({ payload }) => payload.new?.id)).toEqual([1, 2]);
});

async function walsenderPid({ database }: TestApp): Promise<number> {
  const [row] = await database.query<{ pid: number }>(
    'select active_pid as pid from pg_replication_slots where slot_name = $1',
    [database.slot],
  );
  if (!row?.pid) throw new Error('nobody streams');
  return row.pid;
}
