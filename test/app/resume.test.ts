// Whoever comes back with `since` gets what was missed, in order, and is live then: nothing twice, nothing lost. Over
// sockets and real databases of both versions.

import { expect, it } from 'vitest';
import { describeDrawnPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { startTestApp, type TestApp } from './test-app.ts';
import type { ChangeFrame, TestClient } from './test-client.ts';

const POSTS = `
  create table posts (id int primary key, title text, owner text);
  alter table posts replica identity full, enable row level security;
  grant select on posts to authenticated;
  create policy mine on posts for select to authenticated using (owner = auth.uid()::text or title = 'public');
  select realtime.watch('posts', full => true);
  insert into realtime.channels (pattern) values ('room:*');`;
const ALICE = '00000000-0000-4000-8000-00000000000a';

describeDrawnPostgres('resume', (postgres) => {
  it('replays row changes as they would have come, then goes live', async () => {
    await using app = await startTestApp(postgres, { sql: POSTS });
    const first = await app.client();
    await first.subscribe('db:posts');
    await insert(app, 1, 3);
    const [one] = await first.received(3);
    await app.database.query(
      `update posts set title = 'changed' where id = 2; delete from posts where id = 3; truncate posts`,
    );
    await first.received(6);
    const again = await app.client();
    const subscribed = await again.subscribe('db:posts', { since: one?.position });
    expect(subscribed).toMatchObject({ recovered: true });
    await live(again);
    await insert(app, 10, 12);
    expect(await again.received(8)).toEqual((await first.received(9)).slice(1));
    expectOrder(again);
  });

  it('gives who may see less only that, by the rules of now', async () => {
    await using app = await startTestApp(postgres, { sql: POSTS });
    const admin = await app.client();
    const { position } = await admin.subscribe('db:posts');
    await app.database.query(`
      insert into posts values (1, 'hidden', 'bob'), (2, 'mine', '${ALICE}'), (3, 'public', 'bob');
      update posts set owner = 'bob' where id = 2;
      update posts set title = 'public' where id = 1`);
    await admin.received(5);
    const alice = await app.client(app.token('authenticated', { sub: ALICE }));
    await alice.subscribe('db:posts', { since: position });
    await live(alice);
    expect(alice.changes().map(({ event, payload }) => [event, (payload.new ?? payload.old)?.id])).toEqual([
      ['INSERT', 2],
      ['INSERT', 3],
      ['DELETE', 2],
      ['INSERT', 1],
    ]);
    await app.database.query(
      'drop policy mine on posts; create policy mine on posts for select to authenticated using (id = 3)',
    );
    const later = await app.client(app.token('authenticated', { sub: ALICE }));
    await later.subscribe('db:posts', { since: position });
    await live(later);
    expect(later.changes().map(({ payload }) => payload.new?.id)).toEqual([3]);
  });

  it('ends with the epoch that was told, whatever another server has written behind it', async () => {
    await using app = await startTestApp(postgres, { sql: POSTS });
    const first = await app.client();
    await first.subscribe('db:posts');
    await insert(app, 1, 3);
    const [one] = await journaled(app, first, 3);
    await app.database.query(`
      insert into realtime.changes (position, committed_at, xid, relation, op, new_image, payload)
      select 'ffffffff' || substr(position, 9), committed_at, xid, relation, op, new_image, payload from realtime.changes`);
    const again = await app.client();
    await again.subscribe('db:posts', { since: one?.position });
    await live(again);
    expect(again.changes()).toEqual(first.changes().slice(1));
  });

  it('replays published messages of one channel', async () => {
    await using app = await startTestApp(postgres, { sql: POSTS });
    const first = await app.client();
    await first.subscribe('room:1');
    await app.database.query(`
      select realtime.publish('room:1', 'said', jsonb_build_object('n', n)) from generate_series(1, 20) as n;
      select realtime.publish('room:2', 'said', '{}')`);
    const sent = await first.received(20);
    const again = await app.client();
    await again.subscribe('room:1', { since: sent[4]?.position });
    await live(again);
    expect(again.changes()).toEqual(sent.slice(5));
  });

  it('takes a messageId for a position where it may be seen, and nothing else', async () => {
    await using app = await startTestApp(postgres, { sql: POSTS });
    const admin = await app.client();
    await admin.subscribe('db:posts');
    await admin.subscribe('room:1');
    await app.database.query(`
      insert into posts values (1, 'hidden', 'bob'), (2, 'public', 'bob');
      select realtime.publish('room:1', 'said', '1'); select realtime.publish('room:1', 'said', '2')`);
    const [hidden, shown, said] = await journaled(app, admin, 4);
    const alice = await app.client(app.token('authenticated', { sub: ALICE }));
    const answers = async (channel: string, since: string | undefined) => {
      const { recovered, reason } = await alice.subscribe(channel, { since });
      return recovered === true ? 'recovered' : reason;
    };
    expect(await answers('db:posts', shown?.messageId)).toBe('recovered');
    expect(await answers('db:posts', hidden?.messageId)).toBe('unknown');
    expect(await answers('db:posts', said?.messageId)).toBe('unknown');
    expect(await answers('room:1', said?.messageId)).toBe('recovered');
    expect(await answers('room:2', said?.messageId)).toBe('unknown');
    expect(await answers('room:1', shown?.messageId)).toBe('unknown');
    expect(await answers('db:posts', '00000000-0000-8000-8000-000000000000')).toBe('unknown');
  });
});

async function insert(app: TestApp, from: number, to: number): Promise<void> {
  await app.database.query(`insert into posts select n, 'New Post', 'bob' from generate_series(${from}, ${to}) as n`);
}

function live(client: TestClient): Promise<unknown> {
  return client.next('live');
}

async function journaled(app: TestApp, client: TestClient, count: number): Promise<ChangeFrame[]> {
  const changes = await client.received(count);
  await until(
    async () =>
      (await app.database.query<{ n: number }>('select count(*)::int as n from realtime.history'))[0]?.n === count,
    { what: 'history' },
  );
  return changes;
}

function expectOrder(client: TestClient): void {
  const positions = client.changes().map(({ position }) => position);
  expect(positions).toEqual([...positions].sort());
  expect(new Set(positions).size).toBe(positions.length);
}
