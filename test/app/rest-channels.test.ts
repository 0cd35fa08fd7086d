// Channels over REST against real databases: the printed examples, what is refused, and what a change means for
// subscriptions that are live.

import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { ask, type RestAnswer } from './rest-client.ts';
import { startTestApp, type TestApp } from './test-app.ts';

const printed = JSON.parse(readFileSync(new URL('../fixtures/channel-management.json', import.meta.url), 'utf8'));
const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';
const PRINTED_FIELDS = ['id', 'pattern', 'description', 'webhookUrls', 'enabled', 'createdAt', 'updatedAt'];

describeNewestPostgres('channels over REST', (postgres) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp(postgres, { sql: 'create table posts (id int primary key)' });
  });
  afterAll(() => app[Symbol.asyncDispose]());
  beforeEach(() => app.database.query('delete from realtime.channels'));

  const rest = (method: string, path: string, body?: unknown): Promise<RestAnswer> => ask(app, method, path, { body });
  const create = async (pattern: string, more: object = {}): Promise<{ id: string; updatedAt: string }> =>
    (await rest('POST', '/channels', { pattern, ...more })).body;

  it('are listed as printed, the oldest first', async () => {
    for (const { webhookUrls, createdAt, updatedAt, ...row } of printed.list.toReversed())
      await app.database.query(
        `insert into realtime.channels (id, pattern, description, enabled, webhook_urls, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6, $7)`,
        [row.id, row.pattern, row.description, row.enabled, webhookUrls, createdAt, updatedAt],
      );
    const { status, body, headers } = await rest('GET', '/channels');
    expect(status).toBe(200);
    expect(headers.get('content-type')).toContain('application/json');
    expect(body).toEqual(printed.list.map((row: object) => ({ ...row, persist: null, retentionDays: null })));
    for (const row of body) expect(Object.keys(row)).toEqual([...PRINTED_FIELDS, 'persist', 'retentionDays']);
  });

  it('are created as printed', async () => {
    const { status, body } = await rest('POST', '/channels', printed.create.request);
    expect(status).toBe(201);
    expect(Object.keys(body).slice(0, 7)).toEqual(Object.keys(printed.create.response));
    const { id, createdAt, updatedAt } = body;
    expect(body).toEqual({ ...printed.create.response, id, createdAt, updatedAt, persist: null, retentionDays: null });
    expect(createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d*[1-9])?Z$/);
    expect(await rest('GET', `/channels/${id}`)).toMatchObject({ status: 200, body });
  });

  it('have their defaults when only the pattern is given', async () => {
    expect(await create('chat:*')).toMatchObject({
      ...{ pattern: 'chat:*', description: null, webhookUrls: null, enabled: true, persist: null, retentionDays: null },
    });
  });

  it('are updated as printed, and what is not given stays', async () => {
    const before = await create('order:*', { ...printed.create.request, persist: false, retentionDays: 3 });
    const { status, body } = await rest('PUT', `/channels/${before.id}`, printed.update.request);
    expect(status).toBe(200);
    expect(body).toEqual({ ...before, ...printed.update.request, updatedAt: body.updatedAt });
    expect(Date.parse(body.updatedAt)).toBeGreaterThan(Date.parse(before.updatedAt));
  });

  it('take null as reset, and no field at all as no change', async () => {
    const full = { description: 'x', webhookUrls: ['http://example.com'], persist: false, retentionDays: 3 };
    const { id } = await create('order:*', full);
    const { body } = await rest('PUT', `/channels/${id}`, {
      ...{ description: null, webhookUrls: null, persist: null, retentionDays: null },
    });
    expect(body).toMatchObject({ description: null, webhookUrls: null, persist: null, retentionDays: null });
    expect(await rest('PUT', `/channels/${id}`, {})).toMatchObject({ status: 200, body });
    expect((await rest('PUT', `/channels/${id}`, { webhookUrls: [] })).body.webhookUrls).toEqual([]);
  });

  it('are deleted with a message, once', async () => {
    const { id } = await create('order:*');
    expect(await rest('DELETE', `/channels/${id}`)).toMatchObject({
      status: 200,
      body: { message: expect.any(String) },
    });
    expect(await rest('DELETE', `/channels/${id}`)).toMatchObject({ status: 404, body: { error: 'not_found' } });
  });

  it.each(['GET', 'PUT', 'DELETE'])('that are unknown are 404, and bad ids 400: %s', async (method) => {
    const body = method === 'PUT' ? { enabled: false } : undefined;
    expect(await rest(method, `/channels/${UNKNOWN_ID}`, body)).toMatchObject({
      status: 404,
      body: { error: 'not_found', statusCode: 404 },
    });
    for (const id of ['1', `urn:uuid:${UNKNOWN_ID}`, `${UNKNOWN_ID}0`, '%00'])
      expect(await rest(method, `/channels/${id}`, body)).toMatchObject({
        status: 400,
        body: { error: 'bad_request' },
      });
  });

  it.each<[string, object, string]>([
    ['an empty pattern', { pattern: '' }, 'bad_name'],
    ['a pattern with a space', { pattern: 'a b' }, 'bad_name'],
    ['a pattern that is too long', { pattern: 'a'.repeat(201) }, 'bad_name'],
    ['a very long table', { pattern: `db:${'a'.repeat(20_000)}` }, 'bad_name'],
    ['a table that is not there', { pattern: 'db:nothing' }, 'bad_name'],
    ['no pattern', {}, 'bad_request'],
    ['a pattern that is null', { pattern: null }, 'bad_request'],
    ['a pattern that is a number', { pattern: 7 }, 'bad_request'],
    ['an unknown field', { pattern: 'a', webhookUrl: 'http://x' }, 'bad_request'],
    ['an id', { pattern: 'a', id: UNKNOWN_ID }, 'bad_request'],
    ['U+0000 in the pattern', { pattern: 'a\0' }, 'bad_request'],
    ['U+0000 in the description', { pattern: 'a', description: 'a\0' }, 'bad_request'],
    ['half a surrogate pair', { pattern: 'a', description: '\ud800' }, 'bad_request'],
    ['a long description', { pattern: 'a', description: 'a'.repeat(1_001) }, 'bad_request'],
    ['a description that is a list', { pattern: 'a', description: [] }, 'bad_request'],
    ['enabled as text', { pattern: 'a', enabled: 'false' }, 'bad_request'],
    ['persist as a number', { pattern: 'a', persist: 0 }, 'bad_request'],
    ['no days', { pattern: 'a', retentionDays: 0 }, 'bad_request'],
    ['half a day', { pattern: 'a', retentionDays: 0.5 }, 'bad_request'],
    ['days beyond a hundred years', { pattern: 'a', retentionDays: 1e300 }, 'bad_request'],
    ['one URL', { pattern: 'a', webhookUrls: 'http://x' }, 'bad_request'],
    ['no URL', { pattern: 'a', webhookUrls: ['x'] }, 'bad_request'],
    ['another scheme', { pattern: 'a', webhookUrls: ['ftp://example.com'] }, 'bad_request'],
    ['a script', { pattern: 'a', webhookUrls: ['javascript:alert(1)'] }, 'bad_request'],
    ['a password', { pattern: 'a', webhookUrls: ['https://u:p@example.com'] }, 'bad_request'],
    ['white space', { pattern: 'a', webhookUrls: [' https://example.com'] }, 'bad_request'],
    ['a null URL', { pattern: 'a', webhookUrls: [null] }, 'bad_request'],
    ['a long URL', { pattern: 'a', webhookUrls: [`http://x/${'a'.repeat(2_048)}`] }, 'bad_request'],
    ['21 URLs', { pattern: 'a', webhookUrls: Array(21).fill('http://example.com') }, 'bad_request'],
  ])('are refused for %s, and nothing is written', async (_, body, error) => {
    expect(await rest('POST', '/channels', body)).toMatchObject({
      status: 400,
      body: { error, message: expect.any(String), statusCode: 400 },
    });
    expect(await app.database.query('select from realtime.channels')).toEqual([]);
  });

  it('of a pattern that is there already are a conflict, % being the same as *', async () => {
    await create('order:*');
    const other = await create('chat:*');
    for (const pattern of ['order:*', 'order:%'])
      expect(await rest('POST', '/channels', { pattern })).toMatchObject({ status: 409, body: { error: 'conflict' } });
    expect(await rest('PUT', `/channels/${other.id}`, { pattern: 'order:*' })).toMatchObject({ status: 409 });
    expect((await rest('GET', '/channels')).body).toHaveLength(2);
  });

  it('of a table watch it, and let it go', async () => {
    const { id } = await create('db:public.posts');
    expect((await rest('GET', `/channels/${id}`)).body.pattern).toBe('db:posts');
    const watched = 'select from realtime.watched';
    expect(await app.database.query(watched)).toHaveLength(1);
    await rest('PUT', `/channels/${id}`, { pattern: 'db:*' });
    expect(await app.database.query(watched)).toHaveLength(0);
  });

  it('of what cannot be watched are a conflict that says why', async () => {
    await app.database.query('create or replace view looks as select 1 as a');
    expect(await rest('POST', '/channels', { pattern: 'db:looks' })).toMatchObject({
      status: 409,
      body: { error: 'conflict', message: expect.stringContaining('is a view') },
    });
  });

  it('that are written by many at once are each written whole', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => rest('POST', '/channels', { pattern: 'one:*' })),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(19).fill(409)]);
    const { id } = answers.find(({ status }) => status === 201)?.body ?? {};
    const changes = Array.from({ length: 20 }, (_, n) =>
      rest('PUT', `/channels/${id}`, n % 2 === 0 ? { description: `d${n}` } : { retentionDays: n }),
    );
    expect((await Promise.all(changes)).map(({ status }) => status)).toEqual(Array(20).fill(200));
    const { body } = await rest('GET', `/channels/${id}`);
    expect(body).toMatchObject({ description: expect.stringMatching(/^d\d+$/), retentionDays: expect.any(Number) });
  });

  it('are for admins only, whatever the body is', async () => {
    for (const [method, path] of [
      ['GET', '/channels'],
      ['POST', '/channels'],
      ['GET', `/channels/${UNKNOWN_ID}`],
      ['PUT', `/channels/${UNKNOWN_ID}`],
      ['DELETE', `/channels/${UNKNOWN_ID}`],
    ] as const) {
      const body = method === 'GET' ? undefined : { nonsense: true };
      const as = async (token: string | null) => (await ask(app, method, path, { body, token })).body.error;
      expect([await as(null), await as('nope'), await as(app.token('authenticated'))]).toEqual([
        ...['auth_required', 'bad_token', 'forbidden'],
      ]);
    }
  });

  describe('that change', () => {
    it.each<[string, (id: string) => Promise<unknown>, string]>([
      ['disabled over REST', (id) => rest('PUT', `/channels/${id}`, { enabled: false }), 'channel_disabled'],
      ['deleted over REST', (id) => rest('DELETE', `/channels/${id}`), 'channel_deleted'],
      ['moved over REST', (id) => rest('PUT', `/channels/${id}`, { pattern: 'b:*' }), 'channel_deleted'],
      [
        'disabled in SQL',
        (id) => app.database.query('update realtime.channels set enabled = false where id = $1', [id]),
        'channel_disabled',
      ],
    ])('end the subscriptions that are live within a second: %s', async (_, change, reason) => {
      const { id } = await create('a:*');
      const client = await app.client(app.token('authenticated'));
      const { subscriptionId } = await client.subscribe('a:1');
      const startedAt = performance.now();
      await change(id);
      expect(await client.next('unsubscribed')).toMatchObject({ channel: 'a:1', subscriptionId, reason });
      expect(performance.now() - startedAt).toBeLessThan(2_000);
      await expect(client.subscribe('a:1')).rejects.toThrow('channel_unavailable');
      await client.close();
    });

    it('leave others alone, and let the same name in again', async () => {
      const { id } = await create('a:*');
      await create('b:*');
      const client = await app.client(app.token('authenticated'));
      await client.subscribe('b:1');
      await client.subscribe('a:1');
      await rest('PUT', `/channels/${id}`, { enabled: false });
      await client.next('unsubscribed');
      await rest('PUT', `/channels/${id}`, { enabled: true });
      await until(() => client.subscribe('a:1'), { what: 'the channel to be open again' });
      expect(client.frames.filter(({ type }) => type === 'unsubscribed')).toHaveLength(1);
      await client.close();
    });

    it('keep the history of a channel that is deleted, without its id', async () => {
      const { id } = await create('a:*');
      await app.database.query(`select realtime.publish('a:1', 'e', '{"n": 1}')`);
      const history = `select channel_id, channel_name from realtime.history where channel_name = 'a:1'`;
      expect(await app.database.query(history)).toEqual([{ channel_id: id, channel_name: 'a:1' }]);
      await rest('DELETE', `/channels/${id}`);
      expect(await app.database.query(history)).toEqual([{ channel_id: null, channel_name: 'a:1' }]);
    });
  });
});
