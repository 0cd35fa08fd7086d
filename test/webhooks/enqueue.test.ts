// What the journal writes for webhooks: which endpoints get what, the bodies, the counts, and that nothing of it is written
// twice. No worker runs, so deliveries stay as they were written.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { ask } from '../app/rest-client.ts';
import { startTestApp, type TestApp } from '../app/test-app.ts';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';

const SETUP = `
  create table posts (id int primary key, body json);
  select realtime.watch('posts');
  insert into realtime.channels (pattern, webhook_urls, persist) values
    ('order:*', '{https://a.example/hook,https://b.example/hook}', null), ('order:x:*', null, null), ('order:quiet', '{}', null),
    ('chat:*', null, null), ('mute:*', '{https://a.example/hook}', false);
  insert into realtime.webhook_endpoints (url, pattern, label, format, events, state) values
    ('https://c.example/', 'chat:*:room:*', 'public-label', 'event', null, 'active'),
    ('https://d.example/', 'chat:%', 'd', 'payload', '{made}', 'paused'),
    ('https://e.example/', '*', 'e', 'message', null, 'disabled'),
    ('https://f.example/', 'db:posts', 'f', 'message', '{INSERT,TRUNCATE}', 'active')`;

type Row = {
  url: string;
  text: string;
  channel_name: string;
  event_name: string;
  state: string;
  source: string;
  position: string;
  message_id: string;
  pattern: string;
};

describeNewestPostgres('deliveries in the journal', (postgres) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp(postgres, { env: { ROWCAST_WEBHOOKS: 'off' }, sql: SETUP });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const sql = <R extends object = Record<string, unknown>>(text: string, params?: readonly unknown[]): Promise<R[]> =>
    app.database.query<R>(text, params);
  const publish = async (channel: string, event: string, payload: unknown): Promise<string> => {
    const [row] = await sql<{ id: string }>('select realtime.publish($1, $2, $3) as id', [
      channel,
      event,
      JSON.stringify(payload),
    ]);
    return String(row?.id);
  };
  const journaled = (id: string): Promise<unknown> =>
    until(async () => (await sql('select from realtime.messages where id = $1 and position is not null', [id]))[0], {
      what: 'the message in history',
    });
  const deliveries = (where: string, params?: readonly unknown[]): Promise<Row[]> =>
    sql<Row>(
      `select d.*, convert_from(d.body, 'UTF8') as text, e.url, e.pattern
       from realtime.webhook_deliveries d join realtime.webhook_endpoints e on e.id = d.endpoint_id where ${where} order by d.id`,
      params,
    );
  const ofMessage = async (id: string): Promise<Row[]> => {
    await journaled(id);
    return deliveries('d.message_id = $1', [id]);
  };
  const ofPost = async (id: number, count = 1): Promise<Row[]> =>
    until(async () => {
      const rows = await deliveries(`d.channel_name = 'db:posts' and d.body is not null`);
      const found = rows.filter(({ text }) => JSON.parse(text.replaceAll('\\u0000', '?')).payload.new?.id === id);
      return found.length >= count ? found : undefined;
    });
  /** What statistics say, and what history lists. */
  const counted = async (): Promise<readonly [number, number]> => {
    const { body } = await ask(app, 'GET', '/messages/stats');
    const [row] = await sql<{ n: number }>('select sum(h.wh_audience_count)::int as n from realtime.history h');
    return [body.whAudience, Number(row?.n)];
  };

  it('a message goes to the URLs of its channel row, inherited where a more specific one says none', async () => {
    const [direct, inherited, none] = [
      await publish('order:1', 'made', 1),
      await publish('order:x:1', 'made', 1),
      await publish('order:quiet', 'made', 1),
    ];
    const urls = ['https://a.example/hook', 'https://b.example/hook'];
    expect((await ofMessage(direct)).map(({ url }) => url).sort()).toEqual(urls);
    expect((await ofMessage(inherited)).map(({ url, pattern }) => `${url} ${pattern}`).sort()).toEqual(
      urls.map((url) => `${url} order:*`),
    );
    expect(await ofMessage(none)).toEqual([]);
  });

  it('a message goes to endpoints whose pattern and events fit, paused ones too, disabled ones not', async () => {
    const made = await publish('chat:1', 'made', 1);
    const other = await publish('chat:1', 'other', 1);
    const room = await publish('chat:1:room:7', 'made', 1);
    const urls = async (id: string): Promise<string[]> => (await ofMessage(id)).map(({ url }) => url).sort();
    expect(await urls(made)).toEqual(['https://d.example/']);
    expect(await urls(other)).toEqual([]);
    expect(await urls(room)).toEqual(['https://c.example/', 'https://d.example/']);
  });

  it('the body of the format message has the printed fields in the printed order', async () => {
    const id = await publish('order:123', 'order.updated', { orderId: '123', total: 1.1 });
    const [row] = await ofMessage(id);
    const { body: listed } = await ask(app, 'GET', '/messages?eventName=order.updated&limit=1');
    const { channelId, createdAt } = listed[0];
    expect(row?.text).toBe(
      `{"messageId":"${id}","channelId":"${channelId}","channelName":"order:123","event":"order.updated",` +
        `"payload":{"total": 1.1, "orderId": "123"},"senderId":null,"senderType":"system","timestamp":"${createdAt}"}`,
    );
  });

  it('the body of the format event names the room, a label, and the time in milliseconds', async () => {
    const id = await publish('chat:a:room:9', 'said "hi"\n', ['é']);
    const body = JSON.parse((await ofMessage(id)).find(({ url }) => url === 'https://c.example/')?.text ?? '');
    expect(body).toEqual({
      apiKey: 'public-label',
      roomId: '9',
      channel: 'chat:a:room:9',
      event: 'said "hi"\n',
      date: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      data: ['é'],
      presenceId: null,
      socketId: null,
    });
  });

  it('the body of the format payload is the payload', async () => {
    const id = await publish('chat:2', 'made', { a: [1, null] });
    expect((await ofMessage(id)).map(({ text }) => text)).toEqual(['{"a": [1, null]}']);
  });

  it('a row change has the payload that history has, also where jsonb cannot hold it', async () => {
    await sql(`insert into posts values (1, '{"a": 1}'), (2, '"\\u0000"')`);
    const [plain] = await ofPost(1);
    const [odd] = await ofPost(2);
    expect(JSON.parse(plain?.text ?? '')).toMatchObject({
      messageId: plain?.message_id,
      channelName: 'db:posts',
      event: 'INSERT',
      payload: { new: { id: 1, body: { a: 1 } } },
      senderId: null,
      senderType: 'system',
    });
    expect(odd?.text).toContain('"body":"\\u0000"');
    expect([plain?.state, plain?.source]).toEqual(['pending', 'changes']);
    const [listed] = await sql<{ id: string }>('select id from realtime.history where position = $1', [
      plain?.position,
    ]);
    expect(listed?.id).toBe(plain?.message_id);
  });

  it('an endpoint gets only the row events that it wants', async () => {
    await sql(
      'insert into posts values (3); update posts set body = null where id = 3; delete from posts where id = 3',
    );
    await sql('insert into posts values (4)');
    await ofPost(4);
    expect((await ofPost(3)).map(({ event_name }) => event_name)).toEqual(['INSERT']);
  });

  it('a table whose channel is disabled is sent nowhere', async () => {
    await sql(`update realtime.channels set enabled = false where pattern = 'db:posts'`);
    await sql(`insert into posts values (801, '1')`);
    await until(async () => (await sql(`select from realtime.changes where payload -> 'new' ->> 'id' = '801'`))[0]);
    await sql(`update realtime.channels set enabled = true where pattern = 'db:posts'`);
    await sql(`insert into posts values (802, '1')`);
    expect(await ofPost(802)).toHaveLength(1);
    expect(await ofPost(801, 0)).toEqual([]);
  });

  it('what is not persisted has no deliveries', async () => {
    await sql(`select realtime.publish('mute:1', 'made', '1')`).catch(() => undefined);
    await journaled(await publish('order:after', 'made', 1));
    expect(await deliveries(`d.channel_name like 'mute:%'`)).toEqual([]);
  });

  it('history and statistics count the deliveries that there are', async () => {
    const [row] = await sql<{ n: number }>('select count(*)::int as n from realtime.webhook_deliveries');
    expect(await counted()).toEqual([row?.n, row?.n]);
  });

  it('the ids of deliveries follow the positions of their messages', async () => {
    await sql(`select realtime.publish('order:' || i, 'made', to_jsonb(i)) from generate_series(1, 300) i`);
    await journaled(await publish('order:last', 'made', 1));
    const rows = await deliveries('true');
    expect(rows.map(({ position }) => position)).toEqual(rows.map(({ position }) => position).sort());
  });

  it('a stream that is read again enqueues and counts nothing twice', async () => {
    const id = await publish('order:again', 'made', 1);
    const before = await ofMessage(id);
    const totals = await counted();
    const [{ at, targets }] = (await sql(
      `select m.created_at::text as at, array_agg(t.endpoint_id)::text[] as targets
       from realtime.messages m, realtime.webhook_targets(array[m.channel_name], array[m.event_name]) t where m.id = $1 group by 1`,
      [id],
    )) as [{ at: string; targets: string[] }];
    const names = targets.map(() => 'order:again');
    const made = targets.map(() => 'made');
    const args = [[id], [at], [before[0]?.position], names, made, targets];
    expect(await sql('select realtime.enqueue_messages($1, $2, $3, $4, $5, $6)::int as n', args)).toEqual([{ n: 0 }]);
    await sql('select realtime.journal_messages($1, $2, $3, $4, $5)', [[id], [at], [before[0]?.position], [0], [2]]);
    expect(await deliveries('d.message_id = $1', [id])).toEqual(before);
    expect(await counted()).toEqual(totals);
  });

  it('changes that are taken back take their deliveries along, and the counts of both', async () => {
    await sql('insert into posts values (5)');
    const [row] = await ofPost(5);
    await sql('select realtime.take_back_changes($1)', [`${row?.position.slice(0, -1)}`]);
    expect(await deliveries('d.position >= $1 and d.source = $2', [row?.position, 'changes'])).toEqual([]);
    const [left] = await sql<{ n: number }>('select count(*)::int as n from realtime.webhook_deliveries');
    expect(await counted()).toEqual([left?.n, left?.n]);
  });

  it('what is deleted from history is counted no more', async () => {
    await sql(`delete from realtime.messages where channel_name like 'chat:%'`);
    const [whAudience, listed] = await counted();
    expect(whAudience).toBe(listed);
  });

  it('a URL that is removed from a channel cancels what waits, and comes back with its secret', async () => {
    const of = (): Promise<Record<string, unknown>[]> =>
      sql(`select e.state, e.state_reason, e.secret, e.pattern from realtime.webhook_endpoints e
        join realtime.channels c on c.id = e.channel_id where c.description = 'sync'`);
    await sql(
      `insert into realtime.channels (pattern, description, webhook_urls) values ('sync:*', 'sync', '{https://g.example/}')`,
    );
    const [made] = await of();
    expect(made?.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    const id = await publish('sync:1', 'made', 1);
    expect((await ofMessage(id)).map(({ state }) => state)).toEqual(['pending']);
    await sql(`update realtime.channels set webhook_urls = '{}' where description = 'sync'`);
    expect(await of()).toEqual([{ ...made, state: 'disabled', state_reason: 'removed from the channel' }]);
    expect((await ofMessage(id)).map(({ state }) => state)).toEqual(['cancelled']);
    await sql(
      `update realtime.channels set webhook_urls = '{https://g.example/}', pattern = 'synced:*' where description = 'sync'`,
    );
    expect(await of()).toEqual([{ ...made, pattern: 'synced:*' }]);
  });

  it('a channel that is deleted takes endpoints and deliveries along', async () => {
    await sql(`delete from realtime.channels where description = 'sync'`);
    expect(await deliveries(`d.channel_name like 'sync:%'`)).toEqual([]);
    expect(await sql(`select from realtime.webhook_deliveries where channel_name like 'sync:%'`)).toEqual([]);
  });

  it.each([
    ['room:*', 'room:a:b', 'a:b'],
    ['*:*', 'a:b:c', 'c'],
    ['a.b+(*)%', 'a.b+(x)yz', 'yz'],
    ['room', 'room', 'room'],
  ])('the room that %s finds in %s is %s', async (pattern, name, room) => {
    const [row] = await sql('select realtime.webhook_room($1, $2) as room', [pattern, name]);
    expect(row).toEqual({ room });
  });
});
