// Webhooks out over REST against a real database: endpoints as admins manage them, and deliveries as they see them and
// send them again. The worker is off: what would be sent stays where it is.

import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { ask, type RestAnswer } from './rest-client.ts';
import { startTestApp, type TestApp } from './test-app.ts';

const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';
const HOOK = 'https://example.com/hook';
const SECRET = /^whsec_[A-Za-z0-9+/]{43}=$/;

type Seeded = { readonly state?: string; readonly age?: string; readonly event?: string; readonly channel?: string };

describeNewestPostgres('webhooks over REST', (postgres) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp(postgres, { env: { ROWCAST_WEBHOOKS: 'off', ROWCAST_WEBHOOK_ALLOW: '10.1.0.0/16' } });
  });
  afterAll(() => app[Symbol.asyncDispose]());
  beforeEach(() => app.database.query('delete from realtime.webhook_endpoints'));

  const rest = (method: string, path: string, body?: unknown): Promise<RestAnswer> =>
    ask(app, method, `/webhooks${path}`, { body });
  const create = async (more: object = {}): Promise<RestAnswer['body']> => {
    const { status, body } = await rest('POST', '', { url: HOOK, pattern: 'order:*', ...more });
    expect(status, JSON.stringify(body)).toBe(201);
    return body;
  };
  const sql = <Row extends object>(text: string, params: readonly unknown[] = []): Promise<Row[]> =>
    app.database.query<Row>(text, params);
  const seed = async (
    endpointId: string,
    { state = 'dead', age = '0', event = 'e', channel = 'order:1' }: Seeded = {},
  ) => {
    const [row] = await sql<{ id: string }>(
      `insert into realtime.webhook_deliveries (endpoint_id, message_id, source, channel_name, event_name, message_created_at,
         body, state, attempts, finished_at, created_at, batch_id, batch_index, give_up_at, last_error, last_status)
       values ($1, gen_random_uuid(), 'messages', $5, $4, now(), '{"a":1}', $2, 2, now(), now() - $3::interval, gen_random_uuid(),
         0, now(), 'answered 500', 500) returning id::text as id`,
      [endpointId, state, age, event, channel],
    );
    return row?.id ?? '';
  };

  it('are made with their defaults, and show the secret then alone', async () => {
    const { secret, ...made } = await create();
    expect(secret).toMatch(SECRET);
    expect(made).toMatchObject({
      ...{ url: HOOK, pattern: 'order:*', channelId: null, description: null, hasToken: false, events: null },
      ...{
        mode: 'single',
        batchIntervalMs: 1000,
        ordered: false,
        maxInFlight: 30,
        plan: 'standard',
        format: 'message',
      },
      ...{ role: null, claims: null, enabled: true, state: 'active', stateReason: null, consecutiveFailures: 0 },
    });
    expect((await rest('GET', `/${made.id}`)).body).toEqual(made);
    expect((await rest('GET', '')).body).toEqual([made]);
    const [row] = await sql(`select secret from realtime.webhook_endpoints where id = $1`, [made.id]);
    expect(row).toEqual({ secret });
  });

  it('take every field, and never show the token again', async () => {
    const fields = {
      ...{ description: 'd', events: ['a', 'b'], mode: 'batch', batchIntervalMs: 250, ordered: true, maxInFlight: 5 },
      ...{ plan: 'free', format: 'event', role: 'authenticated', claims: { sub: 'u', n: [1.5] }, enabled: false },
    };
    const made = await create({ ...fields, token: 'very-secret' });
    expect(made).toMatchObject({ ...fields, hasToken: true });
    const shown = await rest('PATCH', `/${made.id}`, { token: null, claims: null, events: null, description: null });
    expect(shown.body).toMatchObject({ hasToken: false, claims: null, events: null, description: null, mode: 'batch' });
    expect(JSON.stringify([made, (await rest('GET', '')).body])).not.toContain('very-secret');
  });

  it('of the plan free have 15 requests at once, and no more', async () => {
    expect(await create({ plan: 'free' })).toMatchObject({ maxInFlight: 15 });
    const { id } = await create({ maxInFlight: 40 });
    expect((await rest('PATCH', `/${id}`, { plan: 'free' })).body).toMatchObject({ maxInFlight: 15 });
    expect(await rest('PATCH', `/${id}`, { maxInFlight: 16 })).toMatchObject({ status: 400 });
    expect(await rest('PATCH', `/${id}`, { plan: 'standard', maxInFlight: 16 })).toMatchObject({ status: 200 });
  });

  it.each([
    ['http://127.0.0.1/', 'url'],
    ['http://localhost:9/', 'url'],
    ['http://2130706433/', 'url'],
    ['http://[::ffff:169.254.169.254]/', 'url'],
    ['http://user:pw@example.com/', 'user name'],
    ['ftp://example.com/', 'http'],
    ['nowhere', 'http'],
  ])('lead to no private address: %s', async (url, word) => {
    const made = await rest('POST', '', { url, pattern: 'order:*' });
    expect(made).toMatchObject({ status: 400, body: { error: 'bad_request', message: expect.stringContaining(word) } });
    const { id } = await create();
    expect(await rest('PATCH', `/${id}`, { url })).toMatchObject({ status: 400 });
    const channel = await ask(app, 'POST', '/channels', { body: { pattern: 'guarded:*', webhookUrls: [HOOK, url] } });
    expect(channel).toMatchObject({ status: 400, body: { message: expect.stringContaining('webhookUrls[1]') } });
  });

  it('lead to networks that a setting allows', async () => {
    expect(await create({ url: 'http://10.1.2.3:8080/hook' })).toMatchObject({ url: 'http://10.1.2.3:8080/hook' });
  });

  it.each([
    [{ pattern: 'a b' }, 'bad_name'],
    [{ pattern: '*'.repeat(201) }, 'bad_name'],
    [{ role: 'postgres' }, 'unknown_role'],
    [{ claims: { sub: 'u' } }, 'bad_request'],
    [{ maxInFlight: 0 }, 'bad_request'],
    [{ events: [] }, 'bad_request'],
    [{ token: 'a\nb' }, 'bad_request'],
    [{ secret: 'whsec_x' }, 'bad_request'],
  ])('are refused with a code: %j', async (fields, error) => {
    expect(await rest('POST', '', { url: HOOK, pattern: 'order:*', ...fields })).toMatchObject({
      status: 400,
      body: { error },
    });
  });

  it('know tables by their canonical names', async () => {
    expect(await create({ pattern: 'db:public.posts' })).toMatchObject({ pattern: 'db:posts' });
    expect(await create({ pattern: 'db:*' })).toMatchObject({ pattern: 'db:*' });
  });

  it.each([
    ['GET', ''],
    ['PATCH', ''],
    ['DELETE', ''],
    ['POST', '/pause'],
    ['POST', '/resume'],
    ['POST', '/rotate'],
    ['POST', '/test'],
    ['POST', '/recover'],
  ])('that are unknown are 404, and nobody but admins comes near: %s %s', async (method, path) => {
    const body = method === 'PATCH' ? {} : path === '/recover' ? { since: '2024-01-01' } : undefined;
    expect(await rest(method, `/${UNKNOWN_ID}${path}`, body)).toMatchObject({ status: 404 });
    const user = { token: app.token('authenticated'), body };
    expect(await ask(app, method, `/webhooks/${UNKNOWN_ID}${path}`, user)).toMatchObject({ status: 403 });
  });

  it('are paused and resumed, and what has waited is due at once', async () => {
    const { id } = await create();
    const delivery = await seed(id, { state: 'pending' });
    await sql(`update realtime.webhook_deliveries set next_attempt_at = now() + interval '1 hour'`);
    expect((await rest('POST', `/${id}/pause`)).body).toMatchObject({
      state: 'paused',
      stateReason: 'paused by an admin',
    });
    await sql(
      `update realtime.webhook_endpoints set consecutive_failures = 9, failing_since = now(), next_attempt_at = now()`,
    );
    const resumed = (await rest('POST', `/${id}/resume`)).body;
    expect(resumed).toMatchObject({ state: 'active', stateReason: null, consecutiveFailures: 0, failingSince: null });
    const due = await sql(`select next_attempt_at <= now() as is_due from realtime.webhook_deliveries where id = $1`, [
      delivery,
    ]);
    expect(due).toEqual([{ is_due: true }]);
  });

  it('that are disabled come back by resume, and cannot be paused', async () => {
    const { id } = await create();
    await sql(`update realtime.webhook_endpoints set state = 'disabled', state_reason = 'answered 410'`);
    expect(await rest('POST', `/${id}/pause`)).toMatchObject({ status: 409 });
    expect(await rest('POST', `/${id}/test`)).toMatchObject({ status: 409 });
    expect(await rest('POST', `/${id}/resume`)).toMatchObject({ status: 200, body: { state: 'active' } });
  });

  it('get another secret by rotation, and the old one stays good for a day', async () => {
    const { id, secret } = await create();
    const { status, body } = await rest('POST', `/${id}/rotate`);
    expect(status).toBe(200);
    expect(body.secret).toMatch(SECRET);
    expect(body.secret).not.toBe(secret);
    const inHours = (Date.parse(body.previousSecretExpiresAt) - Date.now()) / 3_600_000;
    expect(inHours).toBeCloseTo(24, 0);
    const [row] = await sql(`select secret, previous_secret from realtime.webhook_endpoints`);
    expect(row).toEqual({ secret: body.secret, previous_secret: secret });
  });

  it('of a channel are the channel’s: their place and their end follow from there', async () => {
    const channel = await ask(app, 'POST', '/channels', { body: { pattern: 'chat:*', webhookUrls: [HOOK] } });
    const [made] = (await rest('GET', '')).body;
    expect(made).toMatchObject({ url: HOOK, pattern: 'chat:*', channelId: channel.body.id });
    expect(await rest('DELETE', `/${made.id}`)).toMatchObject({ status: 409 });
    expect(await rest('PATCH', `/${made.id}`, { url: 'https://example.org/' })).toMatchObject({ status: 409 });
    expect(await rest('PATCH', `/${made.id}`, { ordered: true })).toMatchObject({
      status: 200,
      body: { ordered: true },
    });
    expect((await rest('POST', `/${made.id}/rotate`)).body.secret).toMatch(SECRET);
    await ask(app, 'PUT', `/channels/${channel.body.id}`, { body: { webhookUrls: [] } });
    expect((await rest('GET', `/${made.id}`)).body).toMatchObject({
      state: 'disabled',
      stateReason: expect.any(String),
    });
    expect(await rest('POST', `/${made.id}/resume`)).toMatchObject({ status: 409 });
  });

  it('are deleted with their deliveries', async () => {
    const { id } = await create();
    await seed(id);
    expect(await rest('DELETE', `/${id}`)).toMatchObject({ status: 200, body: { message: 'Webhook deleted' } });
    expect(await sql(`select from realtime.webhook_deliveries`)).toEqual([]);
    expect(await rest('DELETE', `/${id}`)).toMatchObject({ status: 404 });
  });

  it('send a test event on a channel that the pattern matches, in their format', async () => {
    const { id, label } = await create({ format: 'event' });
    const { status, body } = await rest('POST', `/${id}/test`);
    expect(status).toBe(202);
    expect(body).toMatchObject({ state: 'pending', source: 'test', event: 'webhook.test', channelName: 'order:test' });
    const shown = await rest('GET', `/deliveries/${body.id}`);
    const date = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    expect(JSON.parse(shown.body.body)).toEqual({
      ...{ apiKey: label, roomId: 'test', channel: 'order:test', event: 'webhook.test', date },
      ...{ data: { test: true }, presenceId: null, socketId: null },
    });
  });

  it('list their deliveries by endpoint, state, channel and time, page by page', async () => {
    const [one, other] = [await create(), await create({ url: 'https://example.org/' })];
    const ids = [
      await seed(one.id, { age: '3 days' }),
      await seed(one.id, { state: 'delivered', channel: 'order:2' }),
      await seed(other.id),
    ];
    const list = async (query: string): Promise<string[]> =>
      (await rest('GET', `/deliveries${query}`)).body.map(({ id }: { id: string }) => id);
    expect(await list('')).toEqual(ids.toReversed());
    expect(await list(`?endpointId=${one.id}`)).toEqual([ids[1], ids[0]]);
    expect(await list('?state=dead')).toEqual([ids[2], ids[0]]);
    expect(await list('?channel=order:2')).toEqual([ids[1]]);
    const yesterday = new Date(Date.now() - 86_400_000).toISOString();
    expect(await list(`?since=${yesterday}`)).toEqual([ids[2], ids[1]]);
    expect(await list(`?until=${yesterday}`)).toEqual([ids[0]]);
    expect(await list('?limit=1')).toEqual([ids[2]]);
    expect(await list(`?before=${ids[2]}&limit=1`)).toEqual([ids[1]]);
    for (const query of ['?since=yesterday', '?state=lost', '?before=0', '?before=x', '?endpointId=1', '?other=1'])
      expect(await rest('GET', `/deliveries${query}`), query).toMatchObject({ status: 400 });
  });

  it('show a delivery with its body and every attempt', async () => {
    const { id: endpointId } = await create();
    const id = await seed(endpointId);
    await sql(
      `insert into realtime.webhook_attempts (delivery_id, attempt, started_at, duration_ms, status, error, response_head)
       values ($1, 2, '2024-01-01T00:00:02Z', 15000, null, 'no answer in time', null), ($1, 1, '2024-01-01T00:00:00Z', 12, 500, 'answered 500', 'oh')`,
      [id],
    );
    const { body } = await rest('GET', `/deliveries/${id}`);
    expect(body).toMatchObject({ id, endpointId, state: 'dead', attempts: 2, lastStatus: 500, body: '{"a":1}' });
    expect(body.attemptLog).toEqual([
      {
        attempt: 1,
        startedAt: '2024-01-01T00:00:00Z',
        durationMs: 12,
        status: 500,
        error: 'answered 500',
        responseHead: 'oh',
      },
      ...[
        { attempt: 2, startedAt: '2024-01-01T00:00:02Z', durationMs: 15_000, status: null, error: 'no answer in time' },
      ].map((attempt) => ({ ...attempt, responseHead: null })),
    ]);
    const log = await sql(
      `select attempt, url, state from realtime.webhook_log where delivery_id = $1 order by attempt`,
      [id],
    );
    expect(log).toEqual([1, 2].map((attempt) => ({ attempt, url: HOOK, state: 'dead' })));
    expect(await rest('GET', '/deliveries/999999999')).toMatchObject({ status: 404 });
    expect(await rest('GET', '/deliveries/x')).toMatchObject({ status: 400 });
  });

  it('send one delivery again, the same to the byte, and not while it is on its way', async () => {
    const { id: endpointId } = await create();
    const id = await seed(endpointId, { age: '2 days' });
    const [before] = await sql<{ message_id: string }>(`select message_id, body from realtime.webhook_deliveries`);
    const { status, body } = await rest('POST', `/deliveries/${id}/resend`);
    expect(status).toBe(202);
    expect(body).toMatchObject({ id, state: 'pending', attempts: 2, batchId: null, finishedAt: null });
    expect(Date.parse(body.giveUpAt)).toBeGreaterThan(Date.now() + 23 * 3_600_000);
    expect(await sql(`select message_id, body from realtime.webhook_deliveries`)).toEqual([before]);
    expect(await rest('POST', `/deliveries/${id}/resend`)).toMatchObject({ status: 409 });
    expect(await rest('POST', '/deliveries/999999999/resend')).toMatchObject({ status: 404 });
  });

  it('send again what was given up since a time, by channel and event, and what was delivered if asked', async () => {
    const { id } = await create();
    const other = await create({ url: 'https://example.org/' });
    await seed(other.id);
    await seed(id, { age: '3 days' });
    const later = [
      await seed(id, { age: '1 hour' }),
      await seed(id, { state: 'cancelled', event: 'f' }),
      await seed(id, { state: 'delivered' }),
      await seed(id, { state: 'hidden' }),
    ];
    const pending = async (): Promise<string[]> =>
      (
        await sql<{ id: string }>(
          `select id::text as id from realtime.webhook_deliveries where state = 'pending' order by webhook_deliveries.id`,
        )
      ).map((row) => row.id);
    const since = new Date(Date.now() - 86_400_000).toISOString();
    expect(await rest('POST', `/${id}/recover`, { since, event: 'f' })).toMatchObject({
      status: 202,
      body: { recovered: 1 },
    });
    expect(await pending()).toEqual([later[1]]);
    expect((await rest('POST', `/${id}/recover`, { since })).body).toEqual({ recovered: 1 });
    expect(await pending()).toEqual([later[0], later[1]]);
    expect((await rest('POST', `/${id}/recover`, { since, states: ['delivered'] })).body).toEqual({ recovered: 1 });
    expect((await rest('POST', `/${id}/recover`, { since: '2000-01-01' })).body).toEqual({ recovered: 1 });
    expect(await rest('POST', `/${id}/recover`, { since: 'once' })).toMatchObject({ status: 400 });
    expect(await rest('POST', `/${id}/recover`, {})).toMatchObject({ status: 400 });
  });
});
