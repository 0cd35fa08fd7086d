// Two servers on one database: one leads, the other waits. Whatever becomes of the first (busy, frozen, thawed,
// killed), the second takes over in time, in the same epoch, and the first can neither write nor confirm any more.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { mintFor } from '../../scripts/tools/mint.ts';
import type { SecretConfig } from '../../server/config/stored-secret.ts';
import { TestClient } from '../app/test-client.ts';
import { newestPostgres, type TestDatabase } from '../rig/postgres.ts';
import { figure, scaled } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import { ServerProcess, serverEnvironment } from './server-process.ts';

const POSTS = `create table posts (id serial primary key, title text); select realtime.watch('posts')`;
const INSERT = `insert into posts (title) values ('New Post')`;
const LEASE_MS = 1_000;
const WAITING_JOURNAL = `
  select from pg_stat_activity
  where datname = current_database() and application_name = 'rowcast journal' and wait_event_type = 'Lock'`;

type Server = { readonly process: ServerProcess; readonly port: number };
type Roles = { readonly leader: Server; readonly standby: Server };

let database: TestDatabase;
let env: Readonly<Record<string, string>>;
let config: SecretConfig;
let servers: Server[] = [];

beforeAll(async () => {
  database = await newestPostgres().createMigrated();
  ({ env, config } = serverEnvironment(database, { ROWCAST_LEASE: `${LEASE_MS}ms` }));
  servers = [await start()];
  await database.query(POSTS);
  servers.push(await start());
});

afterAll(async () => {
  for (const { process } of servers) {
    // One that is frozen takes no notice of its end until it is thawed.
    process.kill('SIGCONT');
    await process[Symbol.asyncDispose]();
  }
  await database.drop();
});

it('a standby says at once that it is one, and sends whoever comes to it away', async () => {
  const { standby } = await roles();
  const client = await connect(standby);
  expect(await client.next('system')).toMatchObject({ status: 'standby', lagBytes: null });
  await until(() => client.closeCode !== undefined, { what: 'the close' });
  expect(client.closeCode).toBe(1012);
  await client.close();
  expect(await readiness(standby)).toMatchObject({ ready: false, reasons: [{ code: 'standby' }] });
});

it('a leader that waits for the database for longer than its lease goes on leading', async () => {
  const { leader } = await roles();
  const lock = await lockedHistory();
  const term = await termOf();
  await database.query('select pg_sleep($1)', [(LEASE_MS * 2) / 1_000]);
  await lock.release();
  await untilHistoryIsWhole();
  expect(await termOf()).toBe(term);
  expect((await readiness(leader)).ready).toBe(true);
});

it('a leader whose lease session was ended gives up, and one of both leads again', async () => {
  const { leader } = await roles();
  await database.query('select pg_terminate_backend(e.pid) from realtime.lease as e');
  const gaveUp = (): boolean => leader.process.logs.some(({ msg }) => msg === 'the lead is given up');
  await until(gaveUp, { what: 'the lead to be given up' });
  await roles();
  await untilHistoryIsWhole();
});

it('takes over from a frozen leader within the lease and two seconds; thawed, that one leads no more', async () => {
  const { leader, standby } = await roles();
  const client = await connect(leader);
  await client.subscribe('db:posts');
  const writer = keepWriting();
  await until(() => client.changes().length > 20, { what: 'changes to flow' });
  const startedAt = performance.now();
  leader.process.kill('SIGSTOP');
  await untilReady(standby);
  const tookMs = performance.now() - startedAt;
  figure(`takeover: ${Math.round(tookMs)} ms after the leader was frozen (lease ${LEASE_MS} ms)`);
  const term = await termOf();
  leader.process.kill('SIGCONT');
  await until(() => client.closeCode !== undefined, { what: 'the old leader to send its clients away' });
  await writer.stop();
  await untilHistoryIsWhole();
  expect(tookMs).toBeLessThan(LEASE_MS + 2_000);
  expect(client.closeCode).toBe(1012);
  // Nobody has led meanwhile but the one that took over.
  expect(await termOf()).toBe(term);
  expect(await readiness(leader)).toMatchObject({ ready: false, reasons: [{ code: 'standby' }] });
});

it('takes over from a leader that is frozen in the middle of the journal, which cannot commit it any more', async () => {
  const { leader, standby } = await roles();
  const term = await termOf();
  const lock = await lockedHistory();
  leader.process.kill('SIGSTOP');
  // The next leader waits for the same lock before it is ready.
  await until(async () => (await termOf()) !== term, { what: 'the standby to lead' });
  await lock.release();
  await untilReady(standby);
  leader.process.kill('SIGCONT');
  await untilHistoryIsWhole();
  await until(async () => (await readiness(leader)).reasons[0]?.code === 'standby', { what: 'it to stand by' });
  await untilHistoryIsWhole();
});

it('takes over within two seconds of the death of the leader', async () => {
  const times: number[] = [];
  for (let round = 0; round < scaled(1, 5); round++) {
    const { leader, standby } = await roles();
    const writer = keepWriting();
    const startedAt = performance.now();
    leader.process.kill('SIGKILL');
    await untilReady(standby);
    times.push(Math.round(performance.now() - startedAt));
    await writer.stop();
    await untilHistoryIsWhole();
    servers = [standby, await start()];
  }
  figure(`takeover: ${times.join(', ')} ms after the death of the leader's process`);
  expect(Math.max(...times)).toBeLessThan(2_000);
});

it('takes over when the leader is stopped', async () => {
  const { leader, standby } = await roles();
  const startedAt = performance.now();
  expect(await leader.process.stop()).toEqual({ code: 0, signal: null });
  await untilReady(standby);
  figure(`takeover: ${Math.round(performance.now() - startedAt)} ms after the leader was told to stop`);
  await database.query(INSERT);
  await untilHistoryIsWhole();
});

it('none of this began a new epoch', async () => {
  const epochs = servers.flatMap(({ process }) => process.logs.filter(({ msg }) => msg === 'a new epoch begins'));
  expect(epochs.filter(({ reason }) => reason !== 'first_start')).toEqual([]);
});

async function start(): Promise<Server> {
  const process = ServerProcess.spawn(env);
  return { process, port: await process.greeted() };
}

/** Who leads and who waits, as soon as that is settled. */
async function roles(): Promise<Roles> {
  const settled = async (): Promise<Roles | undefined> => {
    const [first, second] = servers as [Server, Server];
    const [ofFirst, ofSecond] = await Promise.all([readiness(first), readiness(second)]);
    if (ofFirst.ready && ofSecond.reasons[0]?.code === 'standby') return { leader: first, standby: second };
    if (ofSecond.ready && ofFirst.reasons[0]?.code === 'standby') return { leader: second, standby: first };
    return undefined;
  };
  return until(settled, { what: 'one to lead and one to wait' });
}

async function untilReady(server: Server): Promise<void> {
  await until(async () => (await readiness(server)).ready, { what: 'the standby to lead' });
}

type Readiness = { readonly ready: boolean; readonly reasons: readonly { readonly code: string }[] };

async function readiness({ port }: Server): Promise<Readiness> {
  const response = await fetch(`http://127.0.0.1:${port}/readyz`, { headers: { connection: 'close' } });
  return (await response.json()) as Readiness;
}

function connect({ port }: Server): Promise<TestClient> {
  const token = mintFor(config, { role: 'service_role', sub: 'admin', expiresInMs: 3_600_000 });
  return TestClient.connect(`ws://127.0.0.1:${port}/realtime`, token);
}

/** Makes the journal wait in the middle of its transaction. */
async function lockedHistory(): Promise<{ release(): Promise<void> }> {
  const lock = await database.connect();
  await lock.query('begin; lock table realtime.changes in access exclusive mode');
  await database.query(INSERT);
  await until(async () => (await database.query(WAITING_JOURNAL)).length === 1, { what: 'the journal to wait' });
  return { release: () => lock.query('commit').then(() => lock.end()) };
}

function keepWriting(): { stop(): Promise<void> } {
  let isStopped = false;
  const writing = (async () => {
    while (!isStopped) await database.query(INSERT);
  })();
  return {
    stop: () => {
      isStopped = true;
      return writing;
    },
  };
}

/** Each row came into history, once. */
async function untilHistoryIsWhole(): Promise<void> {
  const missing = `
    select p.id from posts as p left join realtime.changes as c on (c.payload -> 'new' ->> 'id')::int = p.id
    group by p.id having count(c.position) <> 1`;
  await until(async () => (await database.query(missing)).length === 0, { what: 'history to be whole' });
}

async function termOf(): Promise<unknown> {
  return (await database.query<{ term: string }>('select term from realtime.checkpoint'))[0]?.term;
}
