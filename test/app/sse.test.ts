// Channels as server-sent events: the same frames, policies, filters, resumption and limits as on the WebSocket.

import { request } from 'node:http';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { mintFor } from '../../scripts/tools/mint.ts';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { EventStream } from './event-stream.ts';
import { ask } from './rest-client.ts';
import { startTestApp, type TestApp, untilStreaming } from './test-app.ts';

const SETUP = `
  create table posts (id int primary key, title text, body json, owner text, secret text);
  alter table posts enable row level security;
  create policy own on posts to authenticated using (owner = current_setting('request.jwt.claims')::json ->> 'sub');
  grant select (id, title, body, owner) on posts to authenticated;
  insert into realtime.channels (pattern) values ('order:*'), ('typing:*'), ('hidden:*');
  update realtime.channels set persist = false where pattern = 'typing:*';
  create policy shown on realtime.channels for select to authenticated using (pattern <> 'hidden:*');
  create policy may_publish on realtime.messages for insert to authenticated with check (true);
  select realtime.watch('posts')`;

const PAGE = 'https://app.example';

describeNewestPostgres('a stream of a channel', (postgres) => {
  let app: TestApp;
  const streams: EventStream[] = [];

  beforeAll(async () => {
    app = await startTestApp(postgres, {
      channels: 'closed',
      sql: SETUP,
      env: { ROWCAST_ALLOWED_ORIGINS: PAGE, ROWCAST_PING_INTERVAL: '300ms', ROWCAST_PONG_TIMEOUT: '200ms' },
    });
  });
  afterEach(() => {
    for (const stream of streams.splice(0)) stream.close();
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const url = (query: Readonly<Record<string, string>>): string =>
    `http://127.0.0.1:${app.app().port}/realtime/sse?${new URLSearchParams(query)}`;
  const open = async (
    query: Readonly<Record<string, string>>,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<EventStream> => {
    const stream = await EventStream.open(url({ token: app.adminToken(), ...query }), headers);
    streams.push(stream);
    return stream;
  };
  const publish = (channel: string, payload: unknown, event = 'made'): Promise<unknown> =>
    app.database.query('select realtime.publish($1, $2, $3)', [channel, event, JSON.stringify(payload)]);

  it('has the frames of the WebSocket, with positions as ids', async () => {
    const socket = await app.client();
    await socket.subscribe('order:1');
    const stream = await open({ channel: 'order:1' });
    await stream.received(1, 'subscribed');
    await publish('order:1', { total: 1, text: 'ü\n' });
    const [message] = await stream.received(1, 'message');
    const [same] = await socket.received(1);
    expect(message).toEqual(same);
    expect(stream.data().map(({ type }) => type)).toEqual(['auth_success', 'subscribed', 'message']);
    expect(stream.events.map(({ id }) => id)).toEqual([undefined, stream.data()[1].position, message.position]);
    expect(stream.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(stream.headers.get('cache-control')).toContain('no-store');
  });

  it('tells each identity the rows, columns and events that it may see and wants', async () => {
    const token = app.token('authenticated', { sub: 'alice' });
    const mine = await open({
      token,
      channel: 'db:posts',
      where: '{"title":{"like":"a%"}}',
      columns: 'title',
      event: 'INSERT',
    });
    await mine.received(1, 'subscribed');
    await app.database.query(`insert into posts values
      (1, 'a', '{ "k":
        1 }', 'alice', 's'), (2, 'a', null, 'bob', 's'), (3, 'b', null, 'alice', 's'), (4, 'ab', null, 'alice', 's');
      update posts set title = 'ax' where id = 4`);
    const messages = await mine.received(2, 'message');
    expect(messages.map(({ payload }) => payload.new)).toEqual([
      { id: 1, title: 'a' },
      { id: 4, title: 'ab' },
    ]);
  });

  it('keeps values with ends of lines on one line', async () => {
    const stream = await open({ channel: 'db:posts' });
    await stream.received(1, 'subscribed');
    await app.database.query(`insert into posts values (10, 'x', '{"a":\r\n [1,\n2]}', 'alice', 's')`);
    const [message] = await stream.received(1, 'message');
    expect(message.payload.new.body).toEqual({ a: [1, 2] });
  });

  it('resumes behind the last event, by the header before the query', async () => {
    const first = await open({ channel: 'order:2' });
    await first.received(1, 'subscribed');
    await publish('order:2', 1);
    await first.received(1, 'message');
    first.close();
    for (const n of [2, 3]) await publish('order:2', n);
    const again = await open({ channel: 'order:2', since: 'nonsense' }, { 'last-event-id': String(first.lastEventId) });
    await again.received(1, 'live');
    await publish('order:2', 4);
    const messages = await again.received(3, 'message');
    expect(messages.map(({ payload }) => payload)).toEqual([2, 3, 4]);
    expect(again.data().find(({ type }) => type === 'subscribed')).toMatchObject({ recovered: true });
    // Before the replay is through there is no place to resume from but the old one.
    expect(again.events.find(({ data }) => data.includes('"subscribed"'))?.id).toBeUndefined();
  });

  it('resumes where it began if nothing came', async () => {
    const first = await open({ channel: 'order:3' });
    await first.received(1, 'subscribed');
    first.close();
    await publish('order:3', 'missed');
    const again = await open({ channel: 'order:3' }, { 'last-event-id': String(first.lastEventId) });
    const [message] = await again.received(1, 'message');
    expect(message.payload).toBe('missed');
  });

  it('gets what is not persisted, without an id', async () => {
    const stream = await open({ channel: 'typing:1' });
    await stream.received(1, 'subscribed');
    const user = await app.client(app.token('authenticated'));
    user.sendText('{"type":"publish","channel":"typing:1","event":"e","payload":{"a":\n1}}');
    const [message] = await stream.received(1, 'message');
    expect(message).toMatchObject({ payload: { a: 1 } });
    expect(stream.events.at(-1)?.id).toBeUndefined();
  });

  it('is kept alive by comments', async () => {
    const stream = await open({ channel: 'order:4' });
    await until(() => stream.comments.length >= 2, { what: 'comments' });
    expect(stream.comments[0]).toBe(': keep-alive');
  });

  it.each([
    ['no token', { token: '' }, {}, 401, 'bad_token'],
    ['a bad token', { token: 'x.y.z' }, {}, 401, 'bad_token'],
    ['a bad name', { channel: 'a b' }, {}, 400, 'bad_name'],
    ['a wildcard', { channel: 'order:*' }, {}, 400, 'wildcard_not_supported'],
    ['a filter that is no JSON', { channel: 'db:posts', where: '{' }, {}, 400, 'bad_filter'],
    ['an unknown column', { channel: 'db:posts', where: '{"nothing":1}' }, {}, 400, 'bad_filter'],
    ['a filter of another kind of channel', { where: '{"a":1}' }, {}, 400, 'bad_filter'],
    ['a bad since', { since: 'yesterday' }, {}, 400, 'bad_since'],
    ['an unknown parameter', { fitler: '1' }, {}, 400, 'bad_request'],
    ['a page that may not', {}, { origin: 'https://evil.example' }, 403, 'origin_not_allowed'],
  ])('is refused for %s before it begins', async (_, query, headers, status, error) => {
    const asked = url({ token: app.adminToken(), channel: 'order:1', ...query });
    const response = await fetch(asked, { headers });
    expect(response.status).toBe(status);
    expect(await response.json()).toMatchObject({ error, statusCode: status });
  });

  it('is refused for a hidden channel as for one that is not there, in the words of the WebSocket', async () => {
    const token = app.token('authenticated');
    const answers = await Promise.all(
      ['hidden:1', 'none:1', 'db:none'].map(async (channel) => {
        const response = await fetch(url({ token, channel }));
        return { status: response.status, body: await response.json() };
      }),
    );
    const message = 'Channel not found or not accessible';
    for (const answer of answers)
      expect(answer).toEqual({ status: 403, body: { error: 'channel_unavailable', message, statusCode: 403 } });
  });

  it('takes the token of the header, and a ticket once', async () => {
    const header = await EventStream.open(url({ channel: 'order:1' }), { authorization: `Bearer ${app.adminToken()}` });
    streams.push(header);
    await header.received(1, 'subscribed');
    const { body } = await ask(app, 'POST', '/ticket');
    const byTicket = await EventStream.open(url({ channel: 'order:1', ticket: body.ticket }));
    streams.push(byTicket);
    await byTicket.received(1, 'subscribed');
    await expect(EventStream.open(url({ channel: 'order:1', ticket: body.ticket }))).rejects.toThrow('401');
  });

  it('may be read by an allowed page of another origin', async () => {
    const stream = await open({ channel: 'order:1' }, { origin: PAGE });
    expect(stream.headers.get('access-control-allow-origin')).toBe(PAGE);
  });

  it('never shows its token in the log', async () => {
    const token = app.token('authenticated');
    const stream = await open({ token, channel: 'order:1' });
    await stream.received(1, 'subscribed');
    stream.close();
    await until(() => app.logLines.some(({ fields }) => String(fields.url).startsWith('/realtime/sse')), {
      what: 'the line of the access log',
    });
    expect(JSON.stringify(app.logLines)).not.toContain(token);
  });

  it('ends when its channel is closed to it, and says why', async () => {
    await app.database.query(`insert into realtime.channels (pattern) values ('going:1')`);
    const stream = await open({ channel: 'going:1' });
    await stream.received(1, 'subscribed');
    await app.database.query(`delete from realtime.channels where pattern = 'going:1'`);
    await stream.ended();
    expect(stream.data().at(-1)).toMatchObject({ type: 'unsubscribed', reason: 'channel_deleted' });
    expect(stream.events.at(-1)).toMatchObject({
      event: 'close',
      data: '{"code":4403,"reason":"token expired or revoked"}',
    });
  });

  it('is among the connections that admins see and close', async () => {
    const stream = await open({ token: app.token('authenticated', { sub: 'carol' }), channel: 'order:1' });
    await stream.received(1, 'subscribed');
    const { body } = await ask(app, 'GET', '/connections');
    const { id } =
      body.connections?.find(({ userId }: { userId: string }) => userId === 'carol') ??
      body.find(({ userId }: { userId: string }) => userId === 'carol');
    expect((await ask(app, 'DELETE', `/connections/${id}`)).status).toBe(200);
    await stream.ended();
  });

  it('ends when its token does', async () => {
    const token = mintFor(app.config, { role: 'authenticated', sub: 'dave', expiresInMs: 2_000 });
    const stream = await open({ token, channel: 'order:1' });
    await stream.ended();
    expect(stream.data().map(({ type }) => type)).toContain('token_expiring');
    expect(stream.events.at(-1)?.data).toContain('4403');
  });

  it('is cut when its reader is too slow, and holds nobody else up', async () => {
    const cut = await stalledStream(url({ token: app.adminToken(), channel: 'order:5' }));
    const quick = await open({ channel: 'order:5' });
    await quick.received(1, 'subscribed');
    const payload = 'x'.repeat(200_000);
    let sent = 0;
    const isCut = async (): Promise<boolean> => {
      await publish('order:5', payload);
      sent += 1;
      return app.logLines.some(({ message }) => message === 'reader too slow, closing');
    };
    await until(isCut, { what: 'the slow reader to be cut', timeoutMs: 25_000 });
    expect(await quick.received(sent, 'message')).toHaveLength(sent);
    cut();
  });

  it('comes back by itself after a restart', async () => {
    const stream = await open({ channel: 'order:6' });
    await stream.received(1, 'subscribed');
    await app.restart();
    await untilStreaming(app);
    await stream.ended();
    expect(stream.events.at(-1)?.data).toBe('{"code":1012,"reason":"restarting"}');
    await publish('order:6', 'meanwhile');
    const again = await open({ channel: 'order:6' }, { 'last-event-id': String(stream.lastEventId) });
    expect((await again.received(1, 'message'))[0].payload).toBe('meanwhile');
  });
});

/** A stream whose reader takes nothing, until the function that it resolves with ends it. */
function stalledStream(url: string): Promise<() => void> {
  return new Promise((resolve, reject) => {
    const sent = request(url, (response) => {
      response.once('error', () => {});
      response.pause();
      resolve(() => response.destroy());
    });
    sent.once('error', reject);
    sent.end();
  });
}
