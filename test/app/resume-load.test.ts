// Resuming while everything is in motion: under write load, with a journal that lags, with room for a few held messages
// only, with two subscriptions of a connection, with history that loses something meanwhile.

import { expect, it } from 'vitest';
import { newestPostgres } from '../rig/postgres.ts';
import { figure } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import { startTestApp, type TestApp } from './test-app.ts';
import type { ChangeFrame, Frame, TestClient } from './test-client.ts';

const POSTS = `
  create table posts (id bigint generated always as identity primary key, body text);
  select realtime.watch('posts');
  insert into realtime.channels (pattern) values ('room:*');`;
/** Room for some hundred small messages. */
const LITTLE_ROOM = { ROWCAST_MAX_HELD: '160KiB', ROWCAST_JOURNAL_DELAY: '20ms' };

it.each([
  ['a quick journal', {}],
  ['a journal that lags, and little room', LITTLE_ROOM],
])('resumes under load from anywhere without gap or duplicate: %s', async (_, env) => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS, env });
  const whole = await app.client();
  const { position } = await whole.subscribe('db:posts');
  const writer = keepWriting(app);
  const resumed: TestClient[] = [];
  for (let round = 0; round < 12; round++) {
    await until(() => whole.changes().length > (round + 1) * 200, { what: 'changes to flow' });
    const seen = whole.changes();
    const since = round % 3 === 0 ? position : seen[Math.floor((seen.length - 1) * (round / 12))]?.position;
    const client = await app.client();
    await client.subscribe('db:posts', { since });
    resumed.push(client);
  }
  await Promise.all(resumed.map((client) => client.next('live')));
  await writer.stop();
  const [{ n }] = (await app.database.query<{ n: number }>('select count(*)::int as n from posts')) as [{ n: number }];
  const all = await whole.received(n, 20_000);
  const last = all.at(-1)?.position;
  for (const client of resumed) {
    await until(() => client.changes().at(-1)?.position === last, { what: 'the last change' });
    expectTail(client.changes(), all);
  }
  figure(`resume: 12 resumed among ${n} changes`);
});

it('goes live once, behind the last of what was held', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS, env: LITTLE_ROOM });
  const client = await app.client();
  const { position } = await client.subscribe('room:1');
  const writer = keepWriting(app);
  await until(() => client.changes().length > 100, { what: 'changes to flow' });
  const again = await app.client();
  await again.subscribe('room:1', { since: position });
  const live = await again.next('live');
  await writer.stop();
  const frames = [...again.frames];
  const at = frames.indexOf(live);
  const positions = frames.filter(({ type }) => type === 'message').map((frame) => String(frame.position));
  const before = frames.slice(0, at).filter(({ type }) => type === 'message').length;
  expect(positions.slice(0, before).every((position) => position <= String(live.position))).toBe(true);
  expect(positions.slice(before).every((position) => position > String(live.position))).toBe(true);
  expect(frames.filter(({ type }) => type === 'live')).toHaveLength(1);
});

it('keeps the order of a second subscription that joins in the middle of a replay', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS, env: LITTLE_ROOM });
  const whole = await app.client();
  const { position } = await whole.subscribe('db:posts');
  await app.database.query(`insert into posts (body) select repeat('x', 300) from generate_series(1, 3000)`);
  await whole.received(3_000, 20_000);
  const writer = keepWriting(app);
  const client = await app.client();
  const first = await client.subscribe('db:posts', { since: position });
  const second = await client.subscribe('db:posts', { since: whole.changes()[1_500]?.position });
  const lives = () => client.frames.filter(({ type }) => type === 'live');
  await until(() => lives().length === 2, { what: 'both to be live', timeoutMs: 20_000 });
  await writer.stop();
  const all = await settled(app, whole);
  const of = ({ subscriptionId }: Frame) =>
    client.changes().filter((change) => change.subscriptionId === subscriptionId);
  await until(
    () => of(first).at(-1)?.position === all.at(-1)?.position && of(second).at(-1)?.position === all.at(-1)?.position,
  );
  // Frames name their subscription from the moment on in which there are two.
  const unnamed = client.changes().filter(({ subscriptionId }) => subscriptionId === undefined);
  expectTail(bare([...unnamed, ...of(first)]), all);
  expectTail(bare(of(second)), all);
});

it('ends with an unsubscribe, a revoked policy or the connection, in the middle of a replay', async () => {
  await using app = await startTestApp(newestPostgres(), {
    sql: `${POSTS} grant select on posts to authenticated; insert into posts (body) select 'first'`,
  });
  const whole = await app.client();
  const { position } = await whole.subscribe('db:posts');
  await app.database.query(`insert into posts (body) select repeat('x', 1000) from generate_series(1, 20000)`);
  await whole.received(20_000, 30_000);
  const leaver = await app.client();
  const { subscriptionId } = await leaver.subscribe('db:posts', { since: position });
  leaver.send({ type: 'unsubscribe', subscriptionId, ref: 'leave' });
  await until(() => leaver.frames.some(({ ref }) => ref === 'leave'), { what: 'the reply' });
  const seen = leaver.changes().length;
  expect(seen).toBeLessThan(20_000);
  const revoked = await app.client(app.token('authenticated'));
  await revoked.subscribe('db:posts', { since: position });
  await app.database.query('drop policy test_open on realtime.channels');
  expect(await revoked.next('unsubscribed')).toMatchObject({ reason: 'not_allowed' });
  const gone = await app.client();
  await gone.subscribe('db:posts', { since: position });
  await gone.close();
  leaver.send({ type: 'ping', ref: 'ping' });
  await until(() => leaver.frames.some(({ ref }) => ref === 'ping'), { what: 'the pong' });
  expect(leaver.changes()).toHaveLength(seen);
  expect(leaver.frames.some(({ type }) => type === 'live')).toBe(false);
});

it('tells who cannot be given everything, and why', async () => {
  await using app = await startTestApp(newestPostgres(), {
    sql: `${POSTS}
    create table kept_not (id int primary key); select realtime.watch('kept_not');
    update realtime.channels set persist = false where pattern = 'db:kept_not'`,
  });
  const client = await app.client();
  const { position } = await client.subscribe('db:posts');
  await app.database.query(`insert into posts (body) values ('a'), ('b')`);
  const [first] = await client.received(2);
  await until(async () => (await app.database.query('select from realtime.changes')).length === 2, { what: 'history' });
  const answer = async (channel: string, since: string | undefined) =>
    (await client.subscribe(channel, { since })).reason;
  expect(await answer('db:posts', String(position).replace(/^.{8}/, '00000001'))).toBe('epoch_changed');
  expect(await answer('db:posts', String(position).replace(/-.{16}-/, '-7fffffffffffffff-'))).toBe('unknown');
  expect(await answer('db:kept_not', String(position))).toBe('not_persisted');
  await app.database.query('delete from realtime.changes where position = $1', [first?.position]);
  expect(await answer('db:posts', String(position))).toBe('expired');
  expect(await answer('db:posts', first?.position)).toBeUndefined();
});

it('does not resume across the time in which a table was not watched, or not kept', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS });
  const client = await app.client();
  const { position } = await client.subscribe('db:posts');
  await app.database.query(`update realtime.channels set persist = false where pattern = 'db:posts'`);
  const skipped = `select from realtime.history_floors where cause = 'not_kept'`;
  await until(
    async () => {
      await app.database.query(`insert into posts (body) values ('not kept')`);
      return (await app.database.query(skipped)).length === 1;
    },
    { what: 'a change that is not kept' },
  );
  await app.database.query(`update realtime.channels set persist = null where pattern = 'db:posts'`);
  await until(async () => (await client.subscribe('db:posts', { since: position })).reason === 'expired', {
    what: 'the refusal',
  });
  const { position: later } = await client.subscribe('db:posts');
  await app.database.query(
    `select realtime.unwatch('posts'); insert into posts (body) values ('not watched'); select realtime.watch('posts')`,
  );
  const again = await app.client();
  await until(
    async () => (await again.subscribe('db:posts', { since: later }).catch(() => undefined))?.reason === 'expired',
    {
      what: 'the refusal',
    },
  );
});

it('resumes from where an idle subscription was told to stand, after a restart too', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS });
  const client = await app.client();
  const { position } = await client.subscribe('db:posts');
  expect(await (await app.client()).subscribe('db:posts', { since: position })).toMatchObject({ recovered: true });
  await app.restart();
  const again = await app.client();
  expect(await again.subscribe('db:posts', { since: position })).toMatchObject({ recovered: true });
  await again.next('live');
  await app.database.query(`insert into posts (body) values ('after')`);
  expect((await again.received(1)).map(({ payload }) => payload.new?.body)).toEqual(['after']);
});

/** Writes and publishes, one row or some hundred a transaction, until it is stopped. */
function keepWriting(app: TestApp): { stop(): Promise<void> } {
  let isStopped = false;
  const writing = (async () => {
    for (let round = 0; !isStopped; round++) {
      const rows = round % 10 === 0 ? 300 : 5;
      await app.database.query(`
        insert into posts (body) select repeat('x', 100) from generate_series(1, ${rows});
        select realtime.publish('room:1', 'said', to_jsonb(n)) from generate_series(1, ${rows}) as n`);
    }
  })();
  return {
    stop: async () => {
      isStopped = true;
      await writing;
    },
  };
}

async function settled(app: TestApp, whole: TestClient): Promise<ChangeFrame[]> {
  const [row] = await app.database.query<{ n: number }>('select count(*)::int as n from posts');
  return whole.received(row?.n ?? 0, 20_000);
}

function bare(changes: readonly ChangeFrame[]): ChangeFrame[] {
  return changes.map(({ subscriptionId: _, ...change }) => change as ChangeFrame);
}

/** `part` is the end of `all`: nothing missing, nothing twice, nothing out of order. */
function expectTail(part: readonly ChangeFrame[], all: readonly ChangeFrame[]): void {
  expect(part.map(({ position }) => position)).toEqual(all.slice(-part.length).map(({ position }) => position));
  expect(part[0]).toEqual(all.at(-part.length));
}
