// What comes and goes leaves nothing behind: connections, subscriptions, streams, whole servers. Handles,
// timers, sockets, sessions and slots are equal before and after, the heap after collection too, and the
// memory of a server process reaches a plateau.

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { mintFor } from '../../scripts/tools/mint.ts';
import { startTestApp, type TestApp, untilStreaming } from '../app/test-app.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { figure, scaled } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import { RawReader } from './raw-reader.ts';
import { ServerProcess, serverEnvironment } from './server-process.ts';

const POSTS = `create table posts (id int primary key, title text); select realtime.watch('posts')`;
const QUICK = { ROWCAST_RECONNECT_INITIAL: '1ms', ROWCAST_RECONNECT_MAX: '20ms', ROWCAST_POOL_SIZE: '2' };
const CUT_STREAM = `select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1 and active`;

it('connections and restarts of the stream leave nothing behind', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS, env: QUICK });
  const warnings: string[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', onWarning);
  await churn(app, 20, 2);
  const before = await inventory(app);
  const [connections, restarts] = [scaled(200, 1_000), scaled(10, 50)];
  await churn(app, connections, restarts);
  const settled = until(async () => grown(before, await inventory(app)).length === 0, { what: 'all to be let go' });
  await settled.catch(() => undefined); // what is left is said below
  const after = await inventory(app);
  process.off('warning', onWarning);
  figure(
    `leaks: after ${connections} connections and ${restarts} restarts of the stream heap ${before.heapMiB} → ${after.heapMiB} MiB, ` +
      `handles ${JSON.stringify(after.resources)}`,
  );
  expect(grown(before, after)).toEqual([]);
  expect([after.sessions, after.slots]).toEqual([before.sessions, before.slots]);
  expect(after.heapMiB - before.heapMiB).toBeLessThan(6);
  expect(warnings).toEqual([]);
}, 120_000);

it('the memory of a server reaches a plateau under connections that come and go', async () => {
  await using database = await newestPostgres().createMigrated();
  const { env, config } = serverEnvironment(database);
  await using server = ServerProcess.spawn(env);
  const port = await server.greeted();
  await database.query(POSTS);
  const token = mintFor(config, { role: 'service_role', sub: 'admin', expiresInMs: 3_600_000 });
  const rounds = scaled(6, 20);
  const residentMiB: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    const readers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => RawReader.subscribe(`reader ${n}`, port, token, 'db:posts')),
    );
    await database.query(
      `insert into posts select n, 'New Post' from generate_series(${round * 1000}, ${round * 1000 + 499}) as n`,
    );
    await until(() => readers.every((reader) => reader.report().messages === 500), { what: 'every reader to get all' });
    for (const reader of readers) reader.close();
    residentMiB.push(server.memory()?.nowMiB ?? 0);
  }
  figure(`memory: ${rounds} rounds of 200 connections with 500 changes each, server RSS ${residentMiB.join(' ')} MiB`);
  const half = residentMiB.slice(rounds / 2 - 1);
  expect(Math.max(...half) - (half[0] ?? 0)).toBeLessThan(60);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
}, 120_000);

/** Connections that subscribe, get a change and go, in tens; and streams that are cut in between. */
async function churn(app: TestApp, connections: number, restarts: number): Promise<void> {
  const port = Number(new URL(app.url).port);
  const groups = connections / 10;
  for (let group = 0; group < groups; group++) {
    const readers = await Promise.all(
      Array.from({ length: 10 }, (_, n) => RawReader.subscribe(`reader ${n}`, port, app.adminToken(), 'db:posts')),
    );
    await app.database.query(`insert into posts select coalesce(max(id), 0) + 1, 'New Post' from posts`);
    await until(() => readers.every((reader) => reader.report().messages === 1), { what: 'the change to arrive' });
    for (const reader of readers) reader.close();
    if (group % Math.max(1, Math.floor(groups / restarts)) === 0) await restartStream(app);
  }
}

async function restartStream(app: TestApp): Promise<void> {
  await app.database.query(CUT_STREAM, [app.database.slot]);
  await until(() => app.app().status().status === 'stalled', { everyMs: 1 });
  await untilStreaming(app);
}

type Inventory = {
  readonly resources: Readonly<Record<string, number>>;
  readonly sessions: number;
  readonly slots: number;
  readonly heapMiB: number;
};

async function inventory(app: TestApp): Promise<Inventory> {
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) {
    if (/^(Timeout|TCP|TLS|Process)/.test(kind)) resources[kind] = (resources[kind] ?? 0) + 1;
  }
  const [row] = await app.database.query<{ sessions: number; slots: number }>(`
    select (select count(*)::int from pg_stat_activity where datname = current_database() and application_name in ('rowcast journal', 'rowcast stream')) as sessions,
      (select count(*)::int from pg_replication_slots where database = current_database()) as slots`);
  return { resources, sessions: row?.sessions ?? 0, slots: row?.slots ?? 0, heapMiB: heapAfterCollection() };
}

/** Kinds of which there are more than before; a pool that let idle connections go has fewer. */
function grown(before: Inventory, after: Inventory): string[] {
  return Object.entries(after.resources)
    .filter(([kind, count]) => count > (before.resources[kind] ?? 0))
    .map(([kind, count]) => `${kind}: ${before.resources[kind] ?? 0} → ${count}`);
}

function heapAfterCollection(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  collect();
  return Math.round(process.memoryUsage().heapUsed / 2 ** 20);
}
