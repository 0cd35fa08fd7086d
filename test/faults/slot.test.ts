// What a start finds: a slot that is gone, ahead, taken or impossible. Either positions still hold, or a new
// epoch begins and everybody is told, or the start is refused with a sentence that says what to do.

import { Client, type ClientConfig } from 'pg';
import { expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../app/test-app.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { startOwnCluster } from './own-cluster.ts';
import { ServerProcess, serverEnvironment } from './server-process.ts';

const POSTS = `create table posts (id int primary key, title text); select realtime.watch('posts')`;

it('begins a new epoch when the slot was dropped while the server was stopped', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS });
  const before = await epochOf(app);
  await app.app().stop();
  await app.database.query('select pg_drop_replication_slot($1)', [app.database.slot]);
  await app.restart();
  expect(newEpochs(app)).toEqual(['first_start', 'slot_missing']);
  expect(await epochOf(app)).toBeGreaterThan(before);
  await expectToWork(app, 1);
});

it('begins a new epoch when the slot was advanced behind its back', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS });
  await app.app().stop();
  await app.database.query(`insert into posts values (1, 'skipped')`);
  await app.database.query('select pg_replication_slot_advance($1, pg_current_wal_lsn())', [app.database.slot]);
  await app.restart();
  expect(newEpochs(app)).toEqual(['first_start', 'slot_ahead']);
  await expectToWork(app, 2);
});

it('keeps the epoch over restarts, and delivers what was committed in between', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS });
  for (let id = 1; id <= 3; id++) {
    await app.app().stop();
    await app.database.query(`insert into posts values ($1, 'meanwhile')`, [id]);
    await app.restart();
  }
  await until(async () => (await app.database.query('select from realtime.changes')).length === 3);
  expect(newEpochs(app)).toEqual(['first_start']);
});

it('makes the slot one that a promotion takes along, where it is not (PostgreSQL 17 and later)', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS });
  const { database } = app;
  await app.app().stop();
  const client = new Client({ connectionString: database.url, replication: 'database' } as ClientConfig);
  await client.connect();
  await client.query(`ALTER_REPLICATION_SLOT ${database.slot} (FAILOVER false)`);
  await client.end();
  await app.restart();
  const slots = 'select failover from pg_replication_slots where slot_name = $1';
  expect(await database.query(slots, [database.slot])).toEqual([{ failover: true }]);
  expect(newEpochs(app)).toEqual(['first_start']);
});

it('tells everybody who is connected when the slot is lost in the middle', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS, env: { ROWCAST_RECONNECT_INITIAL: '2s' } });
  const client = await app.client();
  const { position } = await client.subscribe('db:posts');
  const { database } = app;
  await database.query('select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1', [
    database.slot,
  ]);
  await until(async () => {
    await database.query('select pg_drop_replication_slot($1)', [database.slot]);
    return true;
  });
  const gap = await client.next('gap');
  expect(gap.reason).toBe('epoch_changed');
  expect(String(gap.from) >= String(position)).toBe(true);
  expect(String(gap.to) > String(position)).toBe(true);
  await until(() => app.app().status().status === 'streaming');
  await database.query(`insert into posts values (1, 'New Post')`);
  const [change] = await client.received(1);
  expect(String(change?.position) > String(gap.to)).toBe(true);
  const told = client.frames.filter(({ type }) => type === 'system' || type === 'gap');
  expect(told.map(({ type, status }) => status ?? type)).toEqual(['stalled', 'slot_lost', 'gap', 'streaming']);
});

it('refuses a slot of another database, and names the setting', async () => {
  await using other = await newestPostgres().createMigrated();
  await using database = await newestPostgres().createMigrated();
  await other.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [other.slot]);
  const { env } = serverEnvironment({ url: database.url, slot: other.slot });
  await expectRefusal(env, `the replication slot "${other.slot}" belongs to database ${other.name}`, 'ROWCAST_SLOT');
});

it('refuses a database without wal_level = logical', async () => {
  await using cluster = await startOwnCluster({ wal_level: 'replica' });
  const { env } = serverEnvironment({ url: cluster.url, slot: 'rowcast' });
  await expectRefusal(env, 'wal_level is replica, must be logical', 'alter system set wal_level = logical');
});

it('refuses a database without a free slot', async () => {
  await using cluster = await startOwnCluster({ max_replication_slots: 1 });
  await cluster.run(`select pg_create_logical_replication_slot('taken', 'pgoutput')`);
  const { env } = serverEnvironment({ url: cluster.url, slot: 'rowcast' });
  await expectRefusal(env, 'all 1 replication slots are in use', 'max_replication_slots');
});

it('refuses a login that may not replicate, and says how it may', async () => {
  await using database = await newestPostgres().createDatabase();
  const login = `plain_${database.name}`;
  await database.query(
    `create role ${login} login password 'plain' createrole; grant create on database ${database.name} to ${login}`,
  );
  try {
    const { env } = serverEnvironment({ url: database.urlAs(login, 'plain'), slot: database.slot });
    await expectRefusal(env, `login "${login}" may not replicate`, `alter role "${login}" replication`);
  } finally {
    await database.query(`drop owned by ${login}; drop role ${login}`);
  }
});

async function expectRefusal(env: Readonly<Record<string, string>>, ...sentences: readonly string[]): Promise<void> {
  await using server = ServerProcess.spawn(env);
  expect(await server.ended()).toEqual({ code: 1, signal: null });
  for (const sentence of sentences) expect(server.words).toContain(sentence);
  expect(server.words).not.toMatch(/\n\s+at /); // no stack
}

async function expectToWork(app: TestApp, id: number): Promise<void> {
  const client = await app.client();
  await client.subscribe('db:posts');
  await app.database.query(`insert into posts values ($1, 'New Post')`, [id]);
  const [change] = await client.received(1);
  expect(change?.payload.new?.id).toBe(id);
}

async function epochOf({ database }: TestApp): Promise<number> {
  const [row] = await database.query<{ epoch: string }>('select epoch from realtime.checkpoint');
  return Number(row?.epoch);
}

function newEpochs({ logLines }: TestApp): unknown[] {
  return logLines.filter(({ message }) => message === 'a new epoch begins').map(({ fields }) => fields.reason);
}
