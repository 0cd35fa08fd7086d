// The process and its end: signals, kills on either side, and starts that cannot work. Nothing is left
// behind, and whoever starts next goes on.

import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { expect, it } from 'vitest';
import { isAlive, readLockFile } from '../../scripts/embedded/postmaster.ts';
import { mintFor } from '../../scripts/tools/mint.ts';
import type { SecretConfig } from '../../server/config/stored-secret.ts';
import { TestClient } from '../app/test-client.ts';
import { newestPostgres, type TestDatabase } from '../rig/postgres.ts';
import { figure } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import { ServerProcess, serverEnvironment } from './server-process.ts';

const POSTS = `create table posts (id int primary key, title text); select realtime.watch('posts')`;
const SECRET = 'a secret of the tests with thirty-two bytes or more';
/** The sessions of servers in this database. */
const SESSIONS = `select from pg_stat_activity where datname = current_database() and application_name like 'rowcast%'`;

it.each([
  ['SIGTERM', ['SIGTERM']],
  ['SIGINT twice, as Ctrl-C under npm sends it', ['SIGINT', 'SIGINT']],
] as const)(
  'stops on %s: code 0, sockets told, all that was handed over journaled, slot let go',
  async (_, signals) => {
    await using database = await newestPostgres().createMigrated();
    const { env, config } = serverEnvironment(database);
    await using server = ServerProcess.spawn(env);
    const port = await server.greeted();
    await database.query(POSTS);
    const client = await connect(port, config);
    await client.subscribe('db:posts');
    await database.query(`insert into posts select n, 'New Post' from generate_series(1, 20000) as n`);
    await until(() => client.changes().length > 2_000, { everyMs: 1 });
    for (const signal of signals) server.kill(signal);
    expect(await server.ended()).toEqual({ code: 0, signal: null });
    await until(() => client.closeCode !== undefined);
    expect(client.closeCode).toBe(1012);
    await expectSlotFree(database);
    const missing = await notInHistory(database, client);
    figure(`stop: ${client.changes().length} of 20000 changes had come, ${await journaled(database)} are journaled`);
    expect(missing).toEqual([]);
  },
);

it('stops at once while the database is gone', async () => {
  await using server = ServerProcess.spawn({ ...ownDatabase('postgres://nobody:none@127.0.0.1:1/nothing') });
  await until(() => server.logs.some(({ msg }) => msg === 'the database cannot be reached yet'));
  expect(await server.stop()).toEqual({ code: 0, signal: null });
});

it('stops while its slot waits for an old transaction, and leaves neither slot nor session', async () => {
  await using database = await newestPostgres().createMigrated();
  const old = await openTransaction(database);
  const { env } = serverEnvironment(database);
  await using server = ServerProcess.spawn(env);
  await untilSlotWaits(database);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
  await until(async () => (await database.query(SESSIONS)).length === 0, { what: 'its sessions to end' });
  expect(await database.query('select from pg_replication_slots where slot_name = $1', [database.slot])).toEqual([]);
  await old.end();
});

it('leaves no session that waits in its name when it is killed while its slot waits', async () => {
  await using database = await newestPostgres().createMigrated();
  const old = await openTransaction(database);
  const { env } = serverEnvironment(database);
  await using server = ServerProcess.spawn(env);
  await untilSlotWaits(database);
  await server.killed();
  await until(async () => (await database.query(SESSIONS)).length === 0, { what: 'its sessions to end' });
  await using next = ServerProcess.spawn(env);
  await untilSlotWaits(database);
  await old.query('commit');
  await old.end();
  await next.greeted();
  expect(await next.stop()).toEqual({ code: 0, signal: null });
});

it('gives up on a database that does not answer any more, and says so', async () => {
  await using database = await newestPostgres().createMigrated();
  const { env } = serverEnvironment(database, { ROWCAST_SHUTDOWN_DRAIN: '300ms' });
  await using server = ServerProcess.spawn(env);
  await server.greeted();
  await database.query(POSTS);
  const lock = await database.connect();
  await lock.query('begin; lock table realtime.checkpoint in access exclusive mode');
  await database.query(`insert into posts values (1, 'New Post')`);
  await until(async () => (await database.query(`${SESSIONS} and wait_event_type = 'Lock'`)).length > 0);
  server.kill('SIGTERM');
  expect(await server.ended()).toEqual({ code: 1, signal: null });
  expect(server.words).toContain('Rowcast could not stop within');
  await lock.end();
  await using next = ServerProcess.spawn(env);
  await next.greeted();
  await until(async () => (await journaled(database)) === 1, { what: 'the change to be journaled by the next server' });
  expect(await next.stop()).toEqual({ code: 0, signal: null });
});

it('with the embedded database: leaves no postgres behind, adopts one after a kill, revives one that was killed', async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'rowcast-faults-'));
  const env = { ROWCAST_DATA_DIR: dataDir, ROWCAST_JWT_SECRET: SECRET };
  const clusterDir = join(dataDir, 'postgres18/data');
  const postmaster = async (): Promise<number> => {
    const lock = await readLockFile(clusterDir);
    return lock.state === 'alive' ? lock.postmaster.pid : 0;
  };
  try {
    await using first = ServerProcess.spawn(env);
    await first.greeted(30_000);
    const pid = await postmaster();
    await first.killed();
    expect(isAlive(pid)).toBe(true);

    await using second = ServerProcess.spawn(env);
    const port = await second.greeted();
    expect(await postmaster()).toBe(pid);
    expect(second.logs.filter(({ msg }) => msg === 'a new epoch begins')).toEqual([]);

    const { config } = serverEnvironment({ url: 'postgres://localhost/x', slot: 'rowcast' }, {}, SECRET);
    const client = await connect(port, config);
    await client.subscribe('db:posts');
    process.kill(pid, 'SIGKILL');
    await until(() => second.logs.some(({ msg }) => msg.startsWith('the embedded database had died')), {
      timeoutMs: 20_000,
    });
    await until(() => client.frames.findLast(({ type }) => type === 'system')?.status === 'streaming', {
      what: 'the stream to flow again',
      timeoutMs: 20_000,
    });
    await insertPost(clusterDir);
    await client.received(1);

    const refused = ServerProcess.spawn(env);
    expect(await refused.ended()).toEqual({ code: 1, signal: null });
    expect(refused.words).toContain(
      `the data folder ${dataDir} is in use by another Rowcast server (process ${second.pid})`,
    );

    const revived = await postmaster();
    second.kill('SIGINT');
    second.kill('SIGINT');
    expect(await second.ended()).toEqual({ code: 0, signal: null });
    expect(isAlive(revived)).toBe(false);
    expect((await readLockFile(clusterDir)).state).toBe('none');
  } finally {
    const left = await postmaster();
    if (left > 0) process.kill(left, 'SIGQUIT');
    await until(async () => (await postmaster()) === 0);
    rmSync(dataDir, { recursive: true, force: true });
  }
}, 60_000);

it('says who has the port, and how to choose another', async () => {
  await using database = await newestPostgres().createMigrated();
  const { env } = serverEnvironment(database);
  const squatter = createServer().listen(0, '127.0.0.1');
  await until(() => squatter.listening);
  const { port } = squatter.address() as { port: number };
  await using server = ServerProcess.spawn({ ...env, PORT: String(port) });
  expect(await server.ended()).toEqual({ code: 1, signal: null });
  expect(server.words).toContain(`port ${port} on 127.0.0.1 is in use`);
  expect(server.words).toContain(`PORT=${port + 1}`);
  squatter.close();
});

/** A transaction that a new slot has to wait for. */
async function openTransaction(database: TestDatabase): Promise<Client> {
  const client = await database.connect();
  await client.query('begin; create table public.mine (n int)');
  return client;
}

async function untilSlotWaits(database: TestDatabase): Promise<void> {
  const waiting = `${SESSIONS} and application_name = 'rowcast journal' and wait_event_type = 'Lock'`;
  await until(async () => (await database.query(waiting)).length === 1, { what: 'the slot to wait' });
}

function connect(port: number, config: SecretConfig): Promise<TestClient> {
  const token = mintFor(config, { role: 'service_role', sub: 'admin', expiresInMs: 3_600_000 });
  return TestClient.connect(`ws://127.0.0.1:${port}/realtime`, token);
}

function ownDatabase(url: string): Record<string, string> {
  return { DATABASE_URL: url, ROWCAST_JWT_SECRET: SECRET };
}

async function expectSlotFree(database: TestDatabase): Promise<void> {
  expect(await database.query('select active from pg_replication_slots where slot_name = $1', [database.slot])).toEqual(
    [{ active: false }],
  );
}

async function journaled(database: TestDatabase): Promise<number> {
  return (await database.query<{ n: number }>('select count(*)::int as n from realtime.changes'))[0]?.n ?? 0;
}

/** Positions that the client got and history does not hold. */
async function notInHistory(database: TestDatabase, client: TestClient): Promise<object[]> {
  const positions = client.changes().map(({ position }) => position);
  return database.query(
    `select p from unnest($1::text[]) as p where not exists (select from realtime.changes as c where c.position = p) limit 3`,
    [positions],
  );
}

/** Writes into the demo table, past the server. */
async function insertPost(clusterDir: string): Promise<void> {
  const { password, port } = JSON.parse(await readFile(join(clusterDir, 'rowcast.json'), 'utf8')) as {
    password: string;
    port: number;
  };
  const client = new Client({ connectionString: `postgres://postgres:${password}@127.0.0.1:${port}/postgres` });
  await client.connect();
  await client
    .query(`insert into posts (title, content) values ('New Post', 'Hello world')`)
    .finally(() => client.end());
}
