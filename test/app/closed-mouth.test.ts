// A user learns nothing about a channel, a table, a column or an id that it may not see: not from texts, not
// from counts, and not from the number of statements that an answer takes.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { startTestApp, type TestApp } from './test-app.ts';
import type { Frame, TestClient } from './test-client.ts';

const SETUP = `
  create schema shut; create table shut.t (id int primary key);
  create table ungranted (id int primary key); create table unwatched (id int primary key);
  create table hidden (id int primary key); create table disabled (id int primary key);
  create table shown (id int primary key, note text, secret text);
  grant select on shut.t, unwatched, hidden, disabled to authenticated;
  grant select (id, note) on shown to authenticated;
  insert into realtime.channels (pattern) values ('hidden:*'), ('raises:*'), ('open:*');
  insert into realtime.channels (pattern, enabled) values ('closed:*', false);
  select realtime.watch(t) from unnest('{shut.t,ungranted,hidden,disabled,shown}'::regclass[]) t;
  update realtime.channels set enabled = false where pattern = 'db:disabled';
  create policy some_of_them on realtime.channels to authenticated using (case
    when pattern = 'raises:*' then 1 / length(realtime.channel_name()) > 7 and ('private ' || pattern)::int = 1
    else pattern not in ('hidden:*', 'db:hidden') end)`;

const REFUSED = [
  ['has no row', 'no:such:channel'],
  ['is disabled', 'closed:1'],
  ['no policy shows', 'hidden:1'],
  ['a policy raises about', 'raises:1'],
  ['is a table that is not there', 'db:no_such_table'],
  ['is a table of a schema that is not there', 'db:no_such_schema.t'],
  ['is a table that is not watched', 'db:unwatched'],
  ['is a table without a grant', 'db:ungranted'],
  ['is a table of a closed schema', 'db:shut.t'],
  ['is a table that no policy shows', 'db:hidden'],
  ['is a table whose row is disabled', 'db:disabled'],
  ['is a table of the system', 'db:pg_catalog.pg_authid'],
  ['is a table of Rowcast itself', 'db:realtime.messages'],
] as const;

describeNewestPostgres('a user', (postgres) => {
  let app: TestApp;
  let user: TestClient;
  let admin: TestClient;

  beforeAll(async () => {
    app = await startTestApp(postgres, { channels: 'closed', sql: SETUP });
    [user, admin] = [await app.client(app.token('authenticated')), await app.client()];
  });
  afterAll(() => app[Symbol.asyncDispose]());

  async function answer(client: TestClient, frame: object): Promise<Frame> {
    const ref = `a${client.frames.length}`;
    client.send({ type: 'subscribe', ...frame, ref });
    return until(() => client.frames.find((reply) => reply.ref === ref), { what: JSON.stringify(frame) });
  }

  describe.each(REFUSED)('that asks for a channel which %s', (_, channel) => {
    const more = [
      {},
      { filter: { event: 'NONSENSE' } },
      { filter: { where: { secret: 1 } } },
      { filter: { columns: ['nope'] } },
      { filter: { where: 'nonsense' } },
      { since: 'nonsense' },
      { snapshot: true },
    ];
    it.each(more)('and %j gets the one answer', async (fields) => {
      const { ref: _ref, ...frame } = await answer(user, { channel, ...fields });
      expect(frame).toEqual({
        type: 'error',
        message: 'Channel not found or not accessible',
        code: 'channel_unavailable',
        retryable: false,
        channel,
      });
    });
  });

  it('is told no detail, an admin is', async () => {
    for (const channel of ['no:such:channel', 'closed:1', 'db:unwatched']) {
      expect(await answer(user, { channel })).not.toHaveProperty('detail');
      expect(await answer(admin, { channel })).toHaveProperty('detail', expect.any(String));
    }
  });

  it('finds out nothing about columns by where or columns', async () => {
    const texts = new Set<string>();
    for (const name of ['secret', 'no_such', 'ctid', 'tableoid', 'shown']) {
      for (const filter of [{ where: { [name]: 'x' } }, { where: { [name]: { gt: {} } } }, { columns: ['id', name] }]) {
        const { code, message } = await answer(user, { channel: 'db:shown', filter });
        texts.add(`${code} ${String(message).replaceAll(name, 'C')} ${Object.keys(filter)}`);
      }
    }
    expect(texts.size).toBe(3);
  });

  it('finds out nothing about ids and positions by since', async () => {
    await admin.subscribe('db:shown');
    await app.database.query(`insert into shown values (1, 'a', 'b')`);
    const [{ messageId, position } = { messageId: '', position: '' }] = await admin.received(1);
    const invented = messageId.replace(/^.{8}/, '12345678');
    const answers = [];
    for (const since of [messageId, invented, '00000000-0000-8000-8000-000000000000']) {
      const { recovered, reason } = await answer(user, { channel: 'open:1', since });
      answers.push({ recovered, reason });
    }
    expect(new Set(answers.map((each) => JSON.stringify(each))).size).toBe(1);
    expect(await answer(user, { channel: 'db:hidden', since: position })).toMatchObject({
      code: 'channel_unavailable',
    });
  });

  it('is warned without names that it may not know', async () => {
    await app.database.query(`create table parts (id int) partition by range (id);
      create table parts_of_acme partition of parts default; alter table parts replica identity full;
      grant select on parts to authenticated;       select realtime.watch('parts')`);
    const { warnings } = await user.subscribe('db:parts');
    expect(warnings).toMatchObject([{ code: 'inserts_only' }]);
    expect(JSON.stringify(warnings)).not.toContain('acme');
    expect(JSON.stringify((await admin.subscribe('db:parts')).warnings)).toContain('acme');
  });

  it('cannot ask what an admin can', async () => {
    const { port } = app.app();
    const headers = { authorization: `Bearer ${app.token('authenticated')}`, 'content-type': 'application/json' };
    const base = `http://127.0.0.1:${port}/api/realtime/permissions`;
    expect((await fetch(base, { headers })).status).toBe(403);
    expect((await fetch(`${base}/check`, { method: 'POST', headers, body: '{}' })).status).toBe(403);
  });
});
