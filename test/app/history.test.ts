// History, statistics, deletion and retention over REST, of what a running server has journaled.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeDrawnPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { ask, type RestAnswer } from './rest-client.ts';
import { startTestApp, type TestApp } from './test-app.ts';

const GONE = '00000000-0000-4000-8000-000000000000';
const MESSAGE_FIELDS = [
  ...['id', 'eventName', 'channelId', 'channelName', 'payload', 'senderType', 'senderId', 'wsAudienceCount'],
  ...['whAudienceCount', 'whDeliveredCount', 'createdAt', 'position'],
];

describeDrawnPostgres('history over REST', (postgres) => {
  let app: TestApp;
  let channelId: string;

  beforeAll(async () => {
    app = await startTestApp(postgres, {
      hasPartitions: false,
      sql: `create table posts (id int primary key, secret text);
        select realtime.watch('posts');
        insert into realtime.channels (pattern) values ('order:*'), ('mine:*');
        create policy own on realtime.messages for select to authenticated using (sender_id = auth.jwt() ->> 'sub');
        create policy write on realtime.messages for insert to authenticated with check (true)`,
    });
    await app.database.query(`
      begin;
      insert into posts values (1, 'hidden');
      select realtime.publish('order:1', 'order.created', '{"total": 12345678901234567890.10}');
      update posts set secret = 'still' where id = 1;
      commit`);
    await app.database.query(`select realtime.publish('order:2', 'order.updated', '2')`);
    const [channel] = await app.database.query<{ id: string }>(
      `select id from realtime.channels where pattern = 'order:*'`,
    );
    channelId = (channel as { id: string }).id;
    await journaled(4);
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const get = (path: string, token?: string | null): Promise<RestAnswer> => ask(app, 'GET', path, { token });
  const events = (answer: RestAnswer): string[] => answer.body.map(({ eventName }: { eventName: string }) => eventName);
  const journaled = (count: number) => until(async () => (await get('/messages')).body.length >= count);

  describe('GET /messages', () => {
    it('lists messages and row changes, newest first, with exactly the printed fields and the position', async () => {
      const { status, headers, body } = await get('/messages');
      expect(status).toBe(200);
      expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
      expect(events({ body } as RestAnswer)).toEqual(['order.updated', 'UPDATE', 'order.created', 'INSERT']);
      for (const message of body) expect(Object.keys(message)).toEqual(MESSAGE_FIELDS);
      expect(body[2]).toMatchObject({
        channelId,
        channelName: 'order:1',
        senderType: 'system',
        senderId: null,
        whAudienceCount: 0,
      });
      expect(body[3]).toMatchObject({
        channelName: 'db:posts',
        payload: { eventType: 'INSERT', new: { secret: 'hidden' } },
      });
    });

    it('keeps the digits of a payload', async () => {
      const response = await fetch(`http://127.0.0.1:${app.app().port}/api/realtime/messages?eventName=order.created`, {
        headers: { authorization: `Bearer ${app.adminToken()}` },
      });
      expect(await response.text()).toContain('"payload":{"total": 12345678901234567890.10}');
    });

    it('shows what a socket got, under the same id, position and time', async () => {
      const client = await app.client();
      await client.subscribe('db:posts');
      await client.subscribe('mine:1');
      await app.database.query(
        `begin; insert into posts values (2); select realtime.publish('mine:1', 'note', '[1]'); commit`,
      );
      const frames = await client.received(2);
      await journaled(6);
      const { body } = await get('/messages?limit=2&order=desc');
      const shown = body.toReversed().map((message: Record<string, unknown>) => ({
        messageId: message.id,
        position: message.position,
        timestamp: message.createdAt,
        channel: message.channelName,
        event: message.eventName,
        payload: message.payload,
      }));
      expect(frames.map(({ type: _, senderId: __, ...frame }) => frame)).toMatchObject(shown);
      expect(body).toMatchObject([{ wsAudienceCount: 1 }, { wsAudienceCount: 1 }]);
    });

    it.each([
      ['limit=1', ['order.created']],
      ['offset=1&limit=1', ['UPDATE']],
      ['eventName=order.updated', ['order.updated']],
      ['eventName=UPDATE', ['UPDATE']],
      ['channel=order:1', ['order.created']],
      ['channel=db:posts&eventName=INSERT&limit=1', ['INSERT']],
      ['channel=db:public.posts&eventName=UPDATE', ['UPDATE']],
      ['channel=nobody', []],
      ['senderId=nobody', []],
      ['since=2020-01-01&until=2020-02-01', []],
      ['since=2999-01-01', []],
      [`channelId=${GONE}`, []],
    ])('filters by %s', async (query, expected) => {
      const first = query.startsWith('limit') || query.startsWith('offset');
      const path = `/messages?order=asc&${first ? `channelId=${channelId}&` : ''}${query}`;
      const answer = await get(
        first && query.startsWith('offset') ? `/messages?order=asc&channel=db:posts&${query}` : path,
      );
      expect([answer.status, events(answer)]).toEqual([200, expected]);
    });

    it('pages by the position of the last message', async () => {
      const all = await get('/messages?limit=1000');
      const { body: first } = await get('/messages?limit=3');
      const { body: rest } = await get(`/messages?until=${first.at(-1).position}`);
      expect([...first, ...rest]).toEqual(all.body);
      const { body: behind } = await get(`/messages?since=${first.at(-1).position}`);
      expect(behind).toEqual(first.slice(0, 2));
    });

    it.each([
      'limit=0',
      'limit=1001',
      'limit=-1',
      'limit=1.5',
      'limit=ten',
      'limit=',
      'limit=1&limit=2',
      'offset=-1',
      'offset=100001',
      'offset=1e3',
      'order=up',
      'channelId=7',
      `channelId=${GONE}&channelId=${GONE}`,
      'eventName=',
      `eventName=${'x'.repeat(201)}`,
      'eventName=%00',
      'senderId=%00',
      'senderId=a&senderId=b',
      'since=yesterday',
      'since=2024-02-30',
      'since=2024-01-15T10:30:00%2B25:00',
      'until=',
      'until=660e8400-e29b-41d4-a716-446655440000',
      'since=2024-01-01&since=2024-01-02',
      'chanel=a',
      '__proto__=a',
      'channel=',
    ])('refuses %s', async (query) => {
      const { status, body } = await get(`/messages?${query}`);
      expect({ status, ...body }).toMatchObject({ status: 400, statusCode: 400, message: expect.stringMatching(/./) });
      expect(['bad_request', 'bad_name']).toContain(body.error);
    });

    it('refuses a pattern as a name', async () => {
      expect(await get('/messages?channel=order:*')).toMatchObject({
        status: 400,
        body: { error: 'wildcard_not_supported' },
      });
    });

    it('is for those with a token, and decides so before it reads', async () => {
      expect(await get('/messages?limit=0', null)).toMatchObject({ status: 401, body: { error: 'auth_required' } });
      expect(await get('/messages?limit=0', 'nope')).toMatchObject({ status: 401, body: { error: 'bad_token' } });
    });

    it('shows others what policies show them, and no row of a table', async () => {
      const token = app.token('authenticated', { sub: 'ann' });
      expect((await get('/messages', token)).body).toEqual([]);
      await ask(app, 'POST', '/publish', { token, body: { channel: 'mine:1', event: 'hello', payload: { a: 1 } } });
      const answer = await until(async () => {
        const { body } = await get('/messages', token);
        return body.length > 0 ? body : undefined;
      });
      expect(answer).toMatchObject([{ eventName: 'hello', senderId: 'ann', senderType: 'user', payload: { a: 1 } }]);
      expect((await get('/messages', app.token('authenticated', { sub: 'bob' }))).body).toEqual([]);
      expect((await get('/messages', app.token('anon'))).body).toEqual([]);
      expect((await get('/messages?channel=db:posts', token)).body).toEqual([]);
    });
  });

  describe('GET /messages/stats', () => {
    it('counts what the list shows, in the printed form', async () => {
      const { status, body } = await get('/messages/stats');
      const { body: all } = await get('/messages?limit=1000');
      expect(status).toBe(200);
      expect(Object.keys(body)).toEqual(['totalMessages', 'whDeliveryRate', 'topEvents', 'whAudience', 'whDelivered']);
      expect(body).toMatchObject({ totalMessages: all.length, whDeliveryRate: 0, whAudience: 0, whDelivered: 0 });
      expect(Object.keys(body.topEvents[0])).toEqual(['eventName', 'count']);
      expect(body.topEvents[0]).toEqual({ eventName: 'INSERT', count: 2 });
    });

    it('takes a channel and a window of time', async () => {
      const { body: messages } = await get(`/messages?channelId=${channelId}&order=asc`);
      const [first, second] = messages.map(({ createdAt }: { createdAt: string }) => createdAt);
      const stats = async (query: string): Promise<number> =>
        (await get(`/messages/stats?${query}`)).body.totalMessages;
      expect(await stats(`channelId=${channelId}`)).toBe(2);
      expect(await stats(`channelId=${channelId}&since=${second}`)).toBe(1);
      expect(await stats(`channelId=${channelId}&until=${second}`)).toBe(1);
      expect(await stats(`channelId=${channelId}&since=${first}&until=${first}`)).toBe(0);
      expect(await stats(`channelId=${GONE}`)).toBe(0);
      const [posts] = await app.database.query<{ id: string }>(
        `select id from realtime.channels where pattern = 'db:posts'`,
      );
      expect(await stats(`channelId=${posts?.id}`)).toBe(3);
    });

    it.each([
      'since=soon',
      'channelId=x',
      'until=6b03fedc-00000000018d3490-00000001',
      'limit=1',
      'since=2024-01-01&since=2024-01-01',
    ])('refuses %s', async (query) => {
      expect(await get(`/messages/stats?${query}`)).toMatchObject({
        status: 400,
        body: { error: 'bad_request', statusCode: 400 },
      });
    });
  });

  it.each([
    ['GET', '/messages/stats'],
    ['DELETE', '/messages?before=2020-01-01'],
    ['GET', '/config'],
    ['PATCH', '/config'],
  ])('%s %s is for admins', async (method, path) => {
    const body = method === 'PATCH' ? { nonsense: true } : undefined;
    expect(await ask(app, method, path, { token: app.token('authenticated'), body })).toMatchObject({
      status: 403,
      body: { error: 'forbidden' },
    });
    expect(await ask(app, method, path, { token: null, body })).toMatchObject({
      status: 401,
      body: { error: 'auth_required' },
    });
  });

  describe('/config', () => {
    it('says how long history is kept, and changes it', async () => {
      expect(await get('/config')).toMatchObject({ status: 200, body: { retentionDays: 7 } });
      for (const retentionDays of [null, 36_500, 30]) {
        expect((await ask(app, 'PATCH', '/config', { body: { retentionDays } })).body).toEqual({ retentionDays });
        expect((await get('/config')).body).toEqual({ retentionDays });
      }
      expect(await app.database.query('select retention_days from realtime.settings')).toEqual([
        { retention_days: 30 },
      ]);
    });

    it.each([
      {},
      { retentionDays: 0 },
      { retentionDays: 36_501 },
      { retentionDays: 1.5 },
      { retentionDays: '7' },
      { retentionDays: 7, more: 1 },
      [],
      'x',
    ])('refuses %j', async (body) => {
      const before = (await get('/config')).body;
      expect(await ask(app, 'PATCH', '/config', { body })).toMatchObject({
        status: 400,
        body: { error: 'bad_request' },
      });
      expect((await get('/config')).body).toEqual(before);
    });
  });

  describe('DELETE /messages', () => {
    const remove = (query: string): Promise<RestAnswer> => ask(app, 'DELETE', `/messages${query}`);

    it.each([
      '',
      '?before=',
      '?before=now',
      '?before=2024-01-01&before=2024-01-02',
      '?before=2024-01-01&channel=a',
      '?since=2024-01-01',
    ])('refuses "%s", and deletes nothing', async (query) => {
      const { body: before } = await get('/messages/stats');
      expect(await remove(query)).toMatchObject({ status: 400, body: { error: 'bad_request' } });
      expect((await get('/messages/stats')).body).toEqual(before);
    });

    it('deletes what lies before a position, then before a time, and says how much', async () => {
      const { body: all } = await get('/messages?order=asc&limit=1000');
      expect(await remove('?before=2020-01-01')).toMatchObject({ status: 200, body: { deleted: 0 } });
      expect((await remove(`?before=${all[2].position}`)).body).toEqual({ deleted: 2 });
      expect((await get('/messages?order=asc')).body).toEqual(all.slice(2));
      expect((await get('/messages/stats')).body.totalMessages).toBe(all.length - 2);
      expect((await remove('?before=2999-01-01')).body).toEqual({ deleted: all.length - 2 });
      expect((await get('/messages')).body).toEqual([]);
      expect((await get('/messages/stats')).body).toMatchObject({ totalMessages: 0, topEvents: [] });
    });
  });

  it('has partitions from the first start on, and shows them as metrics', async () => {
    const text = await until(async () => {
      const response = await fetch(`http://127.0.0.1:${app.app().port}/metrics`);
      const shown = await response.text();
      return /^rowcast_history_days_ready 8$/m.test(shown) ? shown : undefined;
    });
    expect(text).toMatch(/^rowcast_partitions_made_total 16$/m);
    expect(text).toMatch(/^rowcast_history_failures_total 0$/m);
    expect(app.logLines).toContainEqual({
      level: 'info',
      message: 'partitions of history changed',
      fields: { step: 'make_partition', partitions: 16, rows: 0 },
    });
  });
});
