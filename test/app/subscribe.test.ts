// Who may subscribe to what, from which moment on, and what a revoked right ends.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeDrawnPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { startTestApp, type TestApp } from './test-app.ts';
import type { Frame, TestClient } from './test-client.ts';

const REFUSED = { code: 'channel_unavailable', message: 'Channel not found or not accessible', retryable: false };

describeDrawnPostgres('a subscription', (postgres) => {
  let app: TestApp;
  let count = 0;

  beforeAll(async () => {
    app = await startTestApp(postgres, { env: { ROWCAST_WATCH_TIMEOUT: '700ms' } });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const run = (sql: string): Promise<unknown> => app.database.query(sql);
  const user = (): Promise<TestClient> => app.client(app.token('authenticated'));

  /** A watched table that `authenticated` may read, unless `grant` says otherwise. */
  async function readable(grant = 'grant select on T to authenticated'): Promise<string> {
    const name = `t${++count}`;
    await run(`create table ${name} (id int primary key, note text);
      ${grant.replaceAll('T', name)}; select realtime.watch('${name}')`);
    return name;
  }

  /** The answer to a frame, whatever it is. */
  async function answer(client: TestClient, frame: object): Promise<Frame> {
    const ref = `a${client.frames.length}`;
    client.send({ ...frame, ref });
    return until(() => client.frames.find((reply) => reply.ref === ref), { what: JSON.stringify(frame) });
  }

  const subscribing = (client: TestClient, channel: string, filter?: object): Promise<Frame> =>
    answer(client, { type: 'subscribe', channel, ...(filter === undefined ? {} : { filter }) });

  describe('of a user', () => {
    it('to a table that the role may read gets its rows', async () => {
      const name = await readable();
      const client = await user();
      await client.subscribe(`db:${name}`);
      await run(`insert into ${name} values (1, 'a')`);
      const [change] = await client.received(1);
      expect(change?.payload.new).toEqual({ id: 1, note: 'a' });
    });

    it('is refused in the same words, whatever the reason', async () => {
      const unwatched = `t${++count}`;
      await run(`create table ${unwatched} (id int primary key); grant select on ${unwatched} to authenticated`);
      await run(`create schema hidden; create table hidden.t (id int primary key);
        grant select on hidden.t to authenticated; select realtime.watch('hidden.t')`);
      const disabled = await readable();
      await run(`update realtime.channels set enabled = false where pattern = 'db:${disabled}'`);
      const channels = [
        `db:${unwatched}`,
        `db:${await readable('grant insert on T to authenticated')}`,
        `db:${disabled}`,
        'db:hidden.t',
        'db:no_such_table',
        'db:pg_catalog.pg_authid',
        'db:realtime.messages',
        'no:such:channel',
      ];
      const client = await user();
      for (const channel of channels) {
        const { ref: _, ...refusal } = await subscribing(client, channel);
        expect(refusal).toEqual({ type: 'error', ...REFUSED, channel });
      }
    });

    it('is refused for access before its filter is read', async () => {
      const name = await readable('select');
      const client = await user();
      expect(await subscribing(client, `db:${name}`, { event: 'NONSENSE' })).toMatchObject(REFUSED);
      expect(await subscribing(client, `db:${name}`, { where: { nothing: 1 } })).toMatchObject(REFUSED);
    });

    it('may begin as soon as the right is granted', async () => {
      const name = await readable('select');
      const client = await user();
      expect(await subscribing(client, `db:${name}`)).toMatchObject(REFUSED);
      await run(`grant select on ${name} to authenticated`);
      expect(await subscribing(client, `db:${name}`)).toMatchObject({ type: 'subscribed' });
    });
  });

  describe('of an admin', () => {
    it('to a table that is not watched is told the statement that watches it, and works after it', async () => {
      const name = `t${++count}`;
      await run(`create table ${name} (id int primary key)`);
      const client = await app.client();
      const refusal = await subscribing(client, `db:${name}`);
      expect(refusal).toMatchObject({ ...REFUSED, detail: expect.stringContaining('select realtime.watch(') });
      await run(String(refusal.detail).slice(String(refusal.detail).indexOf('select')));
      await client.subscribe(`db:${name}`);
      await run(`insert into ${name} values (1)`);
      await client.received(1);
    });

    it('sees rows in spite of row security and without any grant', async () => {
      const name = await readable('alter table T enable row level security');
      const client = await app.client();
      await client.subscribe(`db:${name}`);
      await run(`insert into ${name} values (1, 'a')`);
      await client.received(1);
    });
  });

  it.each([
    ['before it', `revoke select on T from authenticated; insert into T values (2, 'closed')`],
    ['in its transaction', `begin; revoke select on T from authenticated; insert into T values (2, 'closed'); commit`],
    ['behind it', `begin; insert into T values (2, 'closed'); revoke select on T from authenticated; commit`],
  ])('ends for a user, and not for an admin, with the row that a right is revoked %s', async (_, sql) => {
    const name = await readable();
    const [client, admin] = [await user(), await app.client()];
    const { subscriptionId } = await client.subscribe(`db:${name}`);
    await admin.subscribe(`db:${name}`);
    await run(`insert into ${name} values (1, 'open')`);
    await client.received(1);
    await run(sql.replaceAll('T', name));
    await admin.received(2);
    const ended = await client.next('unsubscribed');
    expect(ended).toEqual({ type: 'unsubscribed', channel: `db:${name}`, subscriptionId, reason: 'not_allowed' });
    expect(client.changes().map(({ payload }) => payload.new?.id)).toEqual([1]);
  });

  it('gets nothing while row security is on, from the first row committed after it', async () => {
    const name = await readable();
    const [client, admin] = [await user(), await app.client()];
    await Promise.all([client, admin].map((each) => each.subscribe(`db:${name}`)));
    const [close, open] = ['enable', 'disable'].map((what) => `alter table ${name} ${what} row level security`);
    // Rights are read at some instant after the commit: so each is changed back only after the delivery.
    const inserted = async (sql: string, id: number): Promise<void> => {
      await run(sql);
      await until(() => admin.changes().at(-1)?.payload.new?.id === id);
    };
    await inserted(`insert into ${name} values (1, 'open')`, 1);
    await run(`${close}`);
    await inserted(`insert into ${name} values (2, 'closed')`, 2);
    await inserted(`begin; ${open}; insert into ${name} values (3, 'open'); commit`, 3);
    await inserted(`begin; ${close}; insert into ${name} values (4, 'closed'); commit`, 4);
    await run(`${open}`);
    await inserted(`insert into ${name} values (5, 'open')`, 5);
    await inserted(`begin; insert into ${name} values (6, 'closed'); ${close}; commit`, 6);
    await run(`${open}`);
    await inserted(`insert into ${name} values (7, 'open')`, 7);
    expect((await client.received(4)).map(({ payload }) => payload.new?.id)).toEqual([1, 3, 5, 7]);
    expect((await admin.received(7)).map(({ payload }) => payload.new?.id)).toEqual([1, 2, 3, 4, 5, 6, 7]);
  });

  describe('to a table that was just watched', () => {
    /** An open transaction that has written to a table which is watched meanwhile. */
    async function openWriter(): Promise<{ name: string; end(): Promise<void>; commit(): Promise<void> }> {
      const name = `t${++count}`;
      await run(`create table ${name} (id int primary key)`);
      const writer = await app.database.connect();
      await writer.query(`begin; insert into ${name} values (1)`);
      // Watching waits for no writer of the table.
      await run(`select realtime.watch('${name}')`);
      await writer.query(`insert into ${name} values (2)`);
      return { name, end: () => writer.end(), commit: async () => void (await writer.query('commit')) };
    }

    it('waits for transactions that were open, and misses nothing after it has answered', async () => {
      const writer = await openWriter();
      const client = await app.client();
      const answered = client.subscribe(`db:${writer.name}`);
      const horizon = `select from realtime.watched where relid = '${writer.name}'::regclass and complete_after is not null`;
      await until(async () => (await app.database.query(horizon)).length === 1);
      expect(client.frames.some(({ type }) => type === 'subscribed')).toBe(false);
      await writer.commit();
      await answered;
      await run(`insert into ${writer.name} values (3)`);
      const [change] = await client.received(1);
      expect(change?.payload.new).toEqual({ id: 3 });
      await writer.end();
    });

    it('is unavailable where they do not end in time, and possible afterwards', async () => {
      const writer = await openWriter();
      const client = await app.client();
      const refusal = await subscribing(client, `db:${writer.name}`);
      expect(refusal).toMatchObject({ type: 'error', code: 'unavailable', retryable: true });
      await writer.commit();
      await client.subscribe(`db:${writer.name}`);
      await writer.end();
    });
  });

  it.each([
    ['INSERT', ['INSERT']],
    [
      ['DELETE', 'UPDATE'],
      ['UPDATE', 'DELETE'],
    ],
    [['TRUNCATE'], ['TRUNCATE']],
    ['*', ['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']],
    [
      ['INSERT', '*'],
      ['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'],
    ],
    [['INSERT', 'INSERT'], ['INSERT']],
  ])('with filter.event %j gets these events', async (event, expected) => {
    const name = await readable();
    const client = await user();
    await client.subscribe(`db:${name}`, { filter: { event } });
    const witness = await app.client();
    await witness.subscribe(`db:${name}`);
    await run(`insert into ${name} values (1)`);
    await run(`update ${name} set note = 'b'; delete from ${name}; truncate ${name}`);
    await witness.received(4);
    await answer(client, { type: 'ping' });
    expect(client.changes().map((change) => change.event)).toEqual(expected);
  });

  it.each([
    [{ event: 'insert' }, 'bad_filter'],
    [{ event: ['INSERT', 'SELECT'] }, 'bad_filter'],
    [{ event: [] }, 'bad_frame'],
    [{ fitler: 1 }, 'bad_frame'],
    [{ schema: 'audit' }, 'channel_unavailable'],
  ])('with filter %j is refused as %s', async (filter, code) => {
    const client = await user();
    expect(await subscribing(client, `db:${await readable()}`, filter)).toMatchObject({ type: 'error', code });
  });

  it.each([
    ['db:"a\0b"', 'bad_name'],
    ['db:a b', 'bad_name'],
    ['', 'bad_name'],
    ['db:*', 'wildcard_not_supported'],
    ['order:%', 'wildcard_not_supported'],
  ])('to %j is refused as %s', async (channel, code) => {
    expect(await subscribing(await user(), channel)).toMatchObject({ type: 'error', code, channel });
  });

  it('given twice gets every message twice, each with its subscription, until one of them ends', async () => {
    const name = await readable();
    const client = await user();
    const first = await client.subscribe(`db:${name}`);
    await run(`insert into ${name} values (0)`);
    await client.received(1);
    const second = await client.subscribe(`db:${name}`);
    await run(`insert into ${name} values (1)`);
    await client.received(3);
    await answer(client, { type: 'unsubscribe', subscriptionId: first.subscriptionId });
    await run(`insert into ${name} values (2)`);
    const changes = await client.received(4);
    expect(changes.map(({ payload, subscriptionId }) => [payload.new?.id, subscriptionId])).toEqual([
      [0, undefined],
      [1, first.subscriptionId],
      [1, second.subscriptionId],
      [2, undefined],
    ]);
  });

  it('that ended gets nothing more', async () => {
    const name = await readable();
    const [client, witness] = [await user(), await app.client()];
    await client.subscribe(`db:${name}`);
    await witness.subscribe(`db:${name}`);
    await run(`insert into ${name} values (1)`);
    await client.received(1);
    await answer(client, { type: 'unsubscribe', channel: `db:${name}` });
    await run(`insert into ${name} values (2)`);
    await witness.received(2);
    await answer(client, { type: 'ping' });
    expect(client.changes()).toHaveLength(1);
  });

  it('has a position below everything that comes and at or above all that came before', async () => {
    const name = await readable();
    const early = await user();
    await early.subscribe(`db:${name}`);
    await run(`insert into ${name} values (1)`);
    const [before] = await early.received(1);
    const late = await user();
    const { position } = await late.subscribe(`db:${name}`);
    await run(`insert into ${name} values (2)`);
    const [after] = await late.received(1);
    expect(String(before?.position) <= String(position)).toBe(true);
    expect(String(position) < String(after?.position)).toBe(true);
  });

  it('begun and ended under a stream of writes misses and repeats nothing between its answers', async () => {
    const name = await readable();
    const writer = await app.database.connect();
    let rows = 0;
    let isDone = false;
    const writing = (async () => {
      while (!isDone) await writer.query(`insert into ${name} values (${rows++})`);
    })();
    const witness = await app.client();
    const all = await witness.subscribe(`db:${name}`);
    const clients = await Promise.all(Array.from({ length: 6 }, () => user()));
    const spans = await Promise.all(
      clients.map(async (client) => {
        const { position } = await client.subscribe(`db:${name}`);
        await until(() => client.changes().length > 10);
        const ended = await answer(client, { type: 'unsubscribe', channel: `db:${name}` });
        return { from: String(position), frames: client.frames, end: client.frames.indexOf(ended) };
      }),
    );
    isDone = true;
    await writing;
    await writer.end();
    await until(() => witness.changes().at(-1)?.payload.new?.id === rows - 1);
    const wanted = witness.changes().map(({ position }) => position);
    expect(wanted.every((position) => position > String(all.position))).toBe(true);
    for (const { from, frames, end } of spans) {
      const got = frames.filter(({ type }) => type === 'message').map(({ position }) => String(position));
      expect(frames.slice(end).filter(({ type }) => type === 'message')).toEqual([]);
      expect(got).toEqual(wanted.filter((position) => position > from && position <= String(got.at(-1))));
    }
  });
});
