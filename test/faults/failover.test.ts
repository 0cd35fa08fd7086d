// The primary dies and its standby is promoted. Where the standby brought the slot and was waited for, the epoch goes on
// and nothing is missed; otherwise a new epoch is told to everybody, also to who stayed connected.

import { expect, it } from 'vitest';
import { startTestApp, type TestApp, untilStreaming } from '../app/test-app.ts';
import type { TestClient } from '../app/test-client.ts';
import type { TestDatabase } from '../rig/postgres.ts';
import { databaseLedger } from '../rig/postgres.ts';
import { figure, isSoak } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import { startProxied } from './proxied-postgres.ts';
import { type StandbyPair, startStandbyPair } from './standby-pair.ts';

const POSTS = `create table posts (id serial primary key, title text); select realtime.watch('posts')`;
const INSERT = `insert into posts (title) values ('New Post')`;
const QUICK = { ROWCAST_CONNECT_TIMEOUT: '1s', ROWCAST_RECONNECT_MAX: '200ms', ROWCAST_SLOT_WATCH: '100ms' };

// In the soak alone: a standby takes its time, and the decision itself is start-decision.test.ts's.
it.runIf(isSoak)(
  'keeps the epoch where the standby was waited for: nothing is lost, nothing comes twice',
  async () => {
    await using pair = await startStandbyPair(true);
    await failOverWhileWriting(pair, async (app, client, failOver) => {
      await until(async () => (await checkpoint(app)).is_failover_safe, { what: 'the promotion to be safe' });
      await failOver();
      const survived = await pair.onStandby<{ id: number }>('select id from posts order by id', app.database.name);
      await until(() => client.changes().length >= survived.length, { what: 'all that survived' });
      expect(ids(client)).toEqual(survived.map(({ id }) => id));
      expect(client.frames.filter(({ type }) => type === 'gap')).toEqual([]);
      expect(epochs(app)).toEqual(['first_start']);
    });
  },
  60_000,
);

it.runIf(isSoak)(
  'begins a new epoch where the standby was not waited for, and tells who stayed',
  async () => {
    await using pair = await startStandbyPair(false);
    await failOverWhileWriting(pair, async (app, client, failOver) => {
      expect((await checkpoint(app)).is_failover_safe).toBe(false);
      await failOver();
      expect(await client.next('gap')).toMatchObject({ reason: 'epoch_changed' });
      expect(epochs(app)).toEqual(['first_start', 'timeline_changed']);
    });
  },
  60_000,
);

type Story = (app: TestApp, client: TestClient, failOver: () => Promise<void>) => Promise<void>;

/** Runs a server behind a proxy that leads to the primary, and to the standby once that was promoted. */
async function failOverWhileWriting(pair: StandbyPair, story: Story): Promise<void> {
  await using proxied = await startProxied(pair.postgres);
  await using app = await startTestApp(proxied.postgres, { sql: POSTS, env: QUICK });
  const client = await app.client();
  await client.subscribe('db:posts');
  await untilSlotIsSynced(pair, app.database);
  const writing = keepWriting(app.database);
  await until(() => client.changes().length > 50, { what: 'changes to flow' });
  await story(app, client, async () => {
    await pair.failOver();
    await writing;
    const startedAt = performance.now();
    proxied.proxy.retarget({ host: '127.0.0.1', port: pair.standbyPort });
    proxied.proxy.reset();
    await untilStreaming(app);
    figure(`failover: changes flow again ${Math.round(performance.now() - startedAt)} ms after the promotion`);
  });
  const before = client.changes().length;
  await pair.onStandby(INSERT, app.database.name);
  await until(() => client.changes().length > before, { what: 'a change of the new primary' });
  // The database went away with its server.
  databaseLedger.open.delete(app.database.name);
}

// The slot has to move on the primary before the standby trusts its copy: with writes, and what the database notes
// by itself every 15 s.
async function untilSlotIsSynced(pair: StandbyPair, database: TestDatabase): Promise<void> {
  const synced = `select from pg_replication_slots where slot_name = '${database.slot}' and synced and not temporary`;
  const isSynced = async (): Promise<boolean> => {
    await database.query(`select pg_log_standby_snapshot()`);
    await database.query(INSERT);
    return (await pair.onStandby(synced, database.name)).length === 1;
  };
  await until(isSynced, { what: 'the slot to be on the standby', timeoutMs: 20_000, everyMs: 100 });
}

/** Writes until the primary is gone. */
async function keepWriting(database: TestDatabase): Promise<void> {
  for (;;) {
    const failed = await database.query(INSERT).then(
      () => false,
      () => true,
    );
    if (failed) return;
  }
}

async function checkpoint({ database }: TestApp): Promise<{ readonly is_failover_safe: boolean }> {
  const [row] = await database.query<{ is_failover_safe: boolean }>('select is_failover_safe from realtime.checkpoint');
  return row ?? { is_failover_safe: false };
}

function ids(client: TestClient): unknown[] {
  return client.changes().map(({ payload }) => payload.new?.id);
}

function epochs({ logLines }: TestApp): unknown[] {
  return logLines.filter(({ message }) => message === 'a new epoch begins').map(({ fields }) => fields.reason);
}
