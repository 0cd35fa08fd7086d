// Policies on realtime.channels over the whole server: who may subscribe to which concrete name, and how soon a
// change ends what is live.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeDrawnPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { startTestApp, type TestApp } from './test-app.ts';
import type { Frame, TestClient } from './test-client.ts';

const REFUSED = { code: 'channel_unavailable', message: 'Channel not found or not accessible', retryable: false };
const MEMBER_TABLE = `create table members (room text, sub text, primary key (room, sub));
  grant select on members to authenticated`;
const MEMBERS = `create policy members on realtime.channels for select to authenticated using (
  exists (select from members m where m.room = realtime.channel_name() and m.sub = auth.jwt() ->> 'sub'))`;

describeDrawnPostgres('subscribing under policies', (postgres) => {
  let app: TestApp;
  let count = 0;

  beforeAll(async () => {
    app = await startTestApp(postgres, {
      channels: 'closed',
      sql: `${MEMBER_TABLE}; insert into realtime.channels (pattern) values ('room:*'), ('open:*')`,
    });
  });
  afterAll(() => app[Symbol.asyncDispose]());
  beforeEach(async () => {
    const rows = await app.database.query<{ polname: string }>(
      `select polname from pg_policy where polrelid = 'realtime.channels'::regclass`,
    );
    for (const { polname } of rows) await run(`drop policy ${polname} on realtime.channels`);
  });

  const run = (sql: string): Promise<unknown> => app.database.query(sql);
  const clientOf = (sub: string, role = 'authenticated', more: object = {}): Promise<TestClient> =>
    app.client(app.token(role, { sub, ...more }));

  async function answer(client: TestClient, channel: string): Promise<Frame> {
    const ref = `a${client.frames.length}`;
    client.send({ type: 'subscribe', channel, ref });
    return until(() => client.frames.find((reply) => reply.ref === ref), { what: `an answer for ${channel}` });
  }

  /** A watched table that `authenticated` may read. */
  async function readable(columns = 'id int primary key, note text'): Promise<string> {
    const name = `p${++count}`;
    await run(`create table ${name} (${columns}); grant select on ${name} to authenticated;
      select realtime.watch('${name}')`);
    return name;
  }

  it('is closed where there is no policy', async () => {
    const name = await readable();
    const client = await clientOf('a');
    for (const channel of ['room:1', `db:${name}`]) expect(await answer(client, channel)).toMatchObject(REFUSED);
  });

  it('asks about the concrete name, the role and the claims', async () => {
    await run(MEMBERS);
    await run(`insert into members values ('room:1', 'a'), ('room:2', 'b')`);
    const [a, b, anon] = [await clientOf('a'), await clientOf('b'), await clientOf('a', 'anon')];
    expect(await answer(a, 'room:1')).toMatchObject({ type: 'subscribed' });
    expect(await answer(a, 'room:2')).toMatchObject(REFUSED);
    expect(await answer(b, 'room:1')).toMatchObject(REFUSED);
    expect(await answer(b, 'room:2')).toMatchObject({ type: 'subscribed' });
    expect(await answer(anon, 'room:1')).toMatchObject(REFUSED);
  });

  it('works at once after a right was given', async () => {
    await run(MEMBERS);
    const client = await clientOf('late');
    expect(await answer(client, 'room:9')).toMatchObject(REFUSED);
    await run(`insert into members values ('room:9', 'late')`);
    expect(await answer(client, 'room:9')).toMatchObject({ type: 'subscribed' });
  });

  it('hides a table whose channel row no policy shows, whatever is granted on it', async () => {
    const [shown, hidden] = [await readable(), await readable()];
    await run(`create policy shown on realtime.channels using (pattern = 'db:${shown}')`);
    const client = await clientOf('a');
    expect(await answer(client, `db:${shown}`)).toMatchObject({ type: 'subscribed' });
    expect(await answer(client, `db:${hidden}`)).toMatchObject(REFUSED);
  });

  describe('while it is live', () => {
    const OPEN = 'create policy open on realtime.channels using (true)';

    async function live(channel: string): Promise<{ client: TestClient; admin: TestClient; id: unknown }> {
      await run(OPEN);
      const [client, admin] = [await clientOf('a'), await app.client()];
      const { subscriptionId } = await client.subscribe(channel);
      await admin.subscribe(channel);
      return { client, admin, id: subscriptionId };
    }

    /** Runs `sql` and waits until a review has begun that knows of it: what comes behind is a change of its own. */
    async function lookedAt(sql: string): Promise<void> {
      await run(`insert into realtime.channels (pattern) values ('witness:*')`);
      const witness = await clientOf('w');
      await witness.subscribe('witness:1');
      await run(`begin; ${sql}; delete from realtime.channels where pattern = 'witness:*'; commit`);
      await witness.next('unsubscribed');
    }

    it.each([
      ['the policy is dropped', 'drop policy open on realtime.channels', 'not_allowed'],
      ['the policy is altered', 'alter policy open on realtime.channels using (false)', 'not_allowed'],
      [
        'a restrictive policy is made',
        'create policy shut on realtime.channels as restrictive using (false)',
        'not_allowed',
      ],
      [
        'the grant is revoked',
        'revoke select on realtime.channels from authenticated',
        'not_allowed',
        'grant select on realtime.channels to authenticated',
      ],
      [
        'a function of the policy changes',
        `create or replace function gate() returns boolean language sql stable as 'select false'`,
        'not_allowed',
        `create or replace function gate() returns boolean language sql stable as 'select true'`,
        `create function gate() returns boolean language sql stable as 'select true';
         alter policy open on realtime.channels using (gate())`,
      ],
    ])(
      'ends long before the next review when %s, and not for an admin',
      async (_, sql, reason, mend = '', before = '') => {
        const { client, admin, id } = await live('open:1');
        if (before !== '') await lookedAt(before);
        await run(sql);
        expect(await client.next('unsubscribed')).toEqual({
          type: 'unsubscribed',
          channel: 'open:1',
          subscriptionId: id,
          reason,
        });
        expect(await answer(client, 'open:1')).toMatchObject(REFUSED);
        expect(admin.frames.some(({ type }) => type === 'unsubscribed')).toBe(false);
        if (mend !== '') await run(mend);
      },
    );

    it.each([
      ['is disabled', `update realtime.channels set enabled = false where pattern = 'gone:*'`, 'channel_disabled'],
      [
        'is shadowed by one that is disabled',
        `insert into realtime.channels (pattern, enabled) values ('gone:1', false)`,
        'channel_disabled',
      ],
      ['is deleted', `delete from realtime.channels where pattern like 'gone:%'`, 'channel_deleted'],
    ])('ends when the channel %s, for admins too', async (_, sql, reason) => {
      await run(`delete from realtime.channels where pattern like 'gone:%'`);
      await run(`insert into realtime.channels (pattern) values ('gone:*')`);
      const { client, admin } = await live('gone:1');
      await run(sql);
      for (const each of [client, admin]) expect(await each.next('unsubscribed')).toMatchObject({ reason });
    });

    it('goes on under another row that decides as well', async () => {
      await run(`insert into realtime.channels (pattern) values ('twice:*'), ('twice:1')`);
      const { client } = await live('twice:1');
      await lookedAt(`delete from realtime.channels where pattern = 'twice:1'`);
      await lookedAt('select');
      expect(client.frames.some(({ type }) => type === 'unsubscribed')).toBe(false);
    });

    it.each([
      ['let go', `select realtime.unwatch('T')`],
      ['dropped', 'drop table T'],
      ['let go and watched again', `select realtime.unwatch('T'); select realtime.watch('T')`],
      ['made again', `drop table T; create table T (id int primary key); grant select on T to authenticated`],
    ])('ends when the table is %s: what happened meanwhile was missed', async (_, sql) => {
      const name = await readable();
      const { client, admin } = await live(`db:${name}`);
      await run(sql.replaceAll('T', name));
      for (const each of [client, admin]) {
        expect(await each.next('unsubscribed')).toMatchObject({ channel: `db:${name}`, reason: 'table_unwatched' });
      }
    });

    it.each([
      ['a role that gave the right is taken away', 'revoke reader_T from authenticated'],
      ['the schema is closed', 'revoke usage on schema s_T from authenticated'],
      ['the last column is revoked', 'revoke select on s_T.t from reader_T'],
    ])('to a table ends when %s', async (_, sql) => {
      const name = `${postgres.version}_${app.database.name}_${++count}`;
      const now = (text: string): string => text.replaceAll('T', name);
      await run(
        now(`create role "reader_T"; create schema "s_T"; create table "s_T".t (id int primary key);
        grant usage on schema "s_T" to authenticated; grant select on "s_T".t to "reader_T";
        alter role authenticated inherit; grant "reader_T" to authenticated;
        select realtime.watch('"s_T".t')`),
      );
      const { client } = await live(now('db:"s_T".t'));
      await run(now(sql.replace('reader_T', '"reader_T"').replace('s_T', '"s_T"')));
      expect(await client.next('unsubscribed')).toMatchObject({ reason: 'not_allowed' });
      await run(now('drop owned by "reader_T"; drop role "reader_T"'));
    });

    it('ends when a column of its where is revoked', async () => {
      const name = await readable();
      await run(OPEN);
      const [filtered, plain] = [await clientOf('a'), await clientOf('b')];
      await filtered.subscribe(`db:${name}`, { filter: { where: { note: 'secret' } } });
      await plain.subscribe(`db:${name}`);
      await run(`revoke select on ${name} from authenticated; grant select (id) on ${name} to authenticated`);
      expect(await filtered.next('unsubscribed')).toMatchObject({ reason: 'not_allowed' });
      await run(`insert into ${name} values (1, 'secret')`);
      const [change] = await plain.received(1);
      expect(change?.payload.new).toEqual({ id: 1 });
    });
  });

  it('that is decided while policies come and go never outlives the last change', async () => {
    const clients = await Promise.all(Array.from({ length: 8 }, (_, n) => clientOf(`c${n}`)));
    for (let round = 0; round < 6; round += 1) {
      await run('create policy flips on realtime.channels using (true)');
      const subscribing = clients.map((client) => answer(client, `open:${round}`));
      await run('drop policy flips on realtime.channels');
      const answers = await Promise.all(subscribing);
      for (const [index, { type, subscriptionId }] of answers.entries()) {
        if (type !== 'subscribed') continue;
        const ended = (frame: Frame): boolean =>
          frame.type === 'unsubscribed' && frame.subscriptionId === subscriptionId;
        await until(() => clients[index]?.frames.some(ended), { what: 'what was allowed before the change to end' });
      }
    }
  });

  describe('warns', () => {
    const codes = (frame: Frame): unknown[] => ((frame.warnings ?? []) as { code: string }[]).map(({ code }) => code);

    it.each([
      ['of no policy', 'alter table T enable row level security', {}, ['no_policy']],
      [
        'of a key that is not the whole row',
        'alter table T enable row level security; create policy p on T using (true)',
        {},
        ['identity_not_full'],
      ],
      ['of the same for a where', 'select', { filter: { where: { note: 'x' } } }, ['identity_not_full']],
      [
        'of nothing where rows are whole',
        'alter table T replica identity full',
        { filter: { where: { note: 'x' } } },
        [],
      ],
      ['of nothing without row security', 'select', {}, []],
      ['of inserts only', 'alter table T drop constraint T_pkey', {}, ['inserts_only']],
    ])('%s', async (_, sql, more, expected) => {
      await run('create policy open on realtime.channels using (true)');
      const name = await readable();
      await run(sql.replaceAll('T', name));
      await run('select * from realtime.reconcile_watched()');
      const client = await clientOf('a');
      expect(codes(await client.subscribe(`db:${name}`, more))).toEqual(expected);
    });
  });
});

describeDrawnPostgres('a live subscription', (postgres) => {
  it('is judged again after a while although nothing changed that can be looked at', async () => {
    await using app = await startTestApp(postgres, {
      channels: 'closed',
      env: { ROWCAST_SUBSCRIPTION_REVIEW: '1s' },
      sql: `${MEMBER_TABLE}; ${MEMBERS}; insert into members values ('room:5', 'left'), ('room:5', 'stays');
        insert into realtime.channels (pattern) values ('room:*')`,
    });
    const [left, stays] = [
      await app.client(app.token('authenticated', { sub: 'left' })),
      await app.client(app.token('authenticated', { sub: 'stays' })),
    ];
    await Promise.all([left, stays].map((each) => each.subscribe('room:5')));
    await app.database.query(`delete from members where sub = 'left'`);
    expect(await left.next('unsubscribed')).toMatchObject({ reason: 'not_allowed' });
    expect(stays.frames.some(({ type }) => type === 'unsubscribed')).toBe(false);
  });
});
