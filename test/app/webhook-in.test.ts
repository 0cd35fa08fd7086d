// Webhooks that come in, against a running server: what is taken and what its receivers get, what is refused and in
// which order, and that the limit of a month is exact however many come at once.

import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { withPlainApp } from './plain-app.ts';
import { ask, type RestAnswer } from './rest-client.ts';
import { accepted, type MadeSource, makeSource, post } from './source-posts.ts';
import { startTestApp, type TestApp } from './test-app.ts';

const SECRET = `whsec_${Buffer.from('a secret of twenty-four b').toString('base64').slice(0, 32)}`;
const MAX_MESSAGE = 65_536;

describeNewestPostgres('an incoming webhook', (postgres) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp(postgres, { env: { ROWCAST_MAX_MESSAGE: `${MAX_MESSAGE}` } });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  type Stored = { readonly id: string; readonly event_name: string; readonly payload: string; readonly sender: string };
  const stored = ({ channel }: MadeSource): Promise<Stored[]> =>
    app.database.query<Stored>(
      `select id, event_name, payload::text, sender_type || coalesce(sender_id, '') as sender from realtime.messages
       where channel_name = $1 order by id`,
      [channel],
    );
  const setUsage = (source: MadeSource, count: number): Promise<unknown> =>
    app.database.query(
      `insert into realtime.source_usage (source_id, month, accepted)
       values ($1, date_trunc('month', now() at time zone 'UTC'), $2)
       on conflict (source_id, month) do update set accepted = excluded.accepted`,
      [source.id, count],
    );

  it('is answered with its id, published on the channel of its source, and counted', async () => {
    const source = await makeSource(app);
    const client = await app.client();
    await client.subscribe(source.channel);
    const sent = { event: 'user.signup', email: 'test@example.com' };
    const { status, body } = await post(app, source.slug, JSON.stringify(sent), { 'x-github-event': 'push' });
    expect(status).toBe(200);
    expect(Object.keys(body)).toEqual(['id']);
    const message = await client.next('message');
    expect(message).toMatchObject({
      ...{ channel: source.channel, event: 'webhook', messageId: body.id, senderId: null },
      payload: {
        type: 'webhook',
        id: body.id,
        slug: source.slug,
        payload: sent,
        headers: { 'x-github-event': 'push' },
      },
    });
    const { payload } = message as unknown as { payload: { receivedAt: string } };
    expect(Object.keys(payload).sort()).toEqual(['headers', 'id', 'payload', 'receivedAt', 'slug', 'type']);
    expect(Math.abs(Date.now() - Date.parse(payload.receivedAt))).toBeLessThan(60_000);
    expect(await accepted(app, source)).toBe(1);
    const history = await until(
      async () => {
        const { body: found } = await ask(app, 'GET', `/messages?channel=${source.channel}`);
        return found.length === 1 ? found : undefined;
      },
      { what: 'the history' },
    );
    expect(history).toMatchObject([{ id: body.id, payload: { payload: sent } }]);
  });

  it.each([
    '{"a": [1, null, {"b": "ü😀"}]}',
    '[]',
    '"text"',
    '12345678901234567890.5',
    'true',
    'null',
    ' {} ',
    '{"__proto__": 1}',
  ])('may be any JSON: %s', async (text) => {
    const source = await makeSource(app);
    expect((await post(app, source.slug, text)).status).toBe(200);
    const [message] = await stored(source);
    const [same] = await app.database.query<{ is_same: boolean }>(
      `select $1::jsonb -> 'payload' = $2::jsonb as is_same`,
      [message?.payload, text],
    );
    expect(same?.is_same).toBe(true);
    expect(message).toMatchObject({ event_name: 'webhook', sender: 'system' });
  });

  it('may call its JSON whatever it likes, and bring parameters of its own', async () => {
    const source = await makeSource(app);
    for (const type of ['application/x-www-form-urlencoded', 'text/plain', 'a/b+json', 'nonsense', ''])
      expect((await post(app, source.slug, '{}', { 'content-type': type })).status, type).toBe(200);
    expect((await post(app, `${source.slug}?from=shop&a=1`, '{}')).status).toBe(200);
    expect(await accepted(app, source)).toBe(6);
  });

  it('keeps the headers that say what it is, and none that let anybody in or speak of the connection', async () => {
    const source = await makeSource(app);
    const kept = { 'x-github-event': 'push', 'x-github-delivery': '1', 'webhook-id': 'm', 'x-hub-signature-256': 's' };
    const dropped = { authorization: 'Basic YTpi', cookie: 'a=b', 'x-forwarded-for': '192.0.2.1', via: 'x' };
    await post(app, source.slug, '{}', { ...kept, ...dropped, 'x-long': 'x'.repeat(9_000) });
    const [message] = await stored(source);
    const { headers } = JSON.parse(message?.payload ?? '') as { headers: Record<string, string> };
    expect(headers).toMatchObject({ ...kept, 'content-type': 'application/json' });
    for (const name of [...Object.keys(dropped), 'host', 'connection', 'content-length', 'x-long'])
      expect(Object.keys(headers)).not.toContain(name);
  });

  it.each([
    ['no JSON', '{"a":', 400, 'not valid JSON'],
    ['nothing', '', 400, 'not valid JSON'],
    ['no UTF-8', Buffer.from([0x22, 0xff, 0x22]), 400, 'not valid JSON'],
    ['U+0000', '"\\u0000"', 400, 'U+0000'],
    ['too many levels', `${'['.repeat(600)}${']'.repeat(600)}`, 400, 'levels'],
    ['too much', `"${'x'.repeat(MAX_MESSAGE)}"`, 413, 'too large'],
    ['nearly too much, with what is put around it', `"${'x'.repeat(MAX_MESSAGE - 20)}"`, 413, 'at most'],
    ['a number that is too much when it is written out', '[1e65530]', 413, 'at most'],
  ])('of %s is refused and not counted', async (_, body, status, said) => {
    const source = await makeSource(app);
    const answer = await post(app, source.slug, body);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatchObject({ statusCode: status });
    expect(answer.body.message).toContain(said);
    expect(await accepted(app, source)).toBe(0);
    expect(await stored(source)).toEqual([]);
  });

  it.each(['nobody', 'a'.repeat(24), '%00', '%ED%A0%80x', 'x'.repeat(290)])(
    'to the slug %s finds nothing',
    async (slug) => {
      const answer = await post(app, slug, '{"a":');
      expect([400, 404]).toContain(answer.status);
      expect(answer.body.error).toMatch(/^(not_found|bad_request)$/);
    },
  );

  it('is refused for the first of its faults: slug, size, signature, quota, JSON', async () => {
    const source = await makeSource(app, { monthlyLimit: 0, verificationSecret: SECRET });
    const [tooLarge, broken] = ['x'.repeat(MAX_MESSAGE + 1), '{"a":'];
    const order = [
      [404, await post(app, 'a'.repeat(24), tooLarge)],
      [413, await post(app, source.slug, tooLarge)],
      [401, await post(app, source.slug, broken)],
      [402, await post(app, source.slug, broken, signed(broken))],
    ] as const;
    for (const [status, answer] of order) expect(answer.status).toBe(status);
    await ask(app, 'PATCH', `/sources/${source.id}`, { body: { monthlyLimit: 1 } });
    expect((await post(app, source.slug, broken, signed(broken))).status).toBe(400);
    expect((await post(app, source.slug, '{}', signed('{}'))).status).toBe(200);
    expect((await post(app, source.slug, '{}', signed('{}'))).body).toEqual({
      ...{ error: 'quota_exceeded', message: 'The monthly quota of this webhook URL is used up', statusCode: 402 },
    });
  });

  it('with a signature is taken by the exact bytes that were signed, and not for ever', async () => {
    const source = await makeSource(app, { verificationSecret: SECRET });
    const text = '{ "amount": 1.50 }';
    expect((await post(app, source.slug, text, signed(text))).status).toBe(200);
    const old = Date.now() - 400_000;
    const wrong = [
      signed('{"amount":1.5}'),
      signed(text, { atMs: old }),
      { ...signed(text), 'webhook-id': 'other' },
      {},
    ];
    for (const headers of wrong)
      expect(await post(app, source.slug, text, headers)).toMatchObject({
        status: 401,
        body: { error: 'bad_signature' },
      });
    const { 'webhook-signature': good, ...rest } = signed(text);
    expect((await post(app, source.slug, text, { ...rest, 'webhook-signature': `v1,AAAA v2,x ${good}` })).status).toBe(
      200,
    );
    expect(await accepted(app, source)).toBe(2);
  });

  const statusesOf = (answers: readonly RestAnswer[]): Record<number, number> => {
    const counts: Record<number, number> = {};
    for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
    return counts;
  };
  const postMany = (source: MadeSource, count: number): Promise<RestAnswer[]> =>
    Promise.all(Array.from({ length: count }, (_, index) => post(app, source.slug, `${index}`)));

  it('is one of exactly 1,000 a month on the plan free, also where 100 come at once', async () => {
    const source = await makeSource(app);
    await setUsage(source, 940);
    expect(statusesOf(await postMany(source, 100))).toEqual({ 200: 60, 402: 40 });
    expect(await accepted(app, source)).toBe(1_000);
    expect(await stored(source)).toHaveLength(60);
    expect((await post(app, source.slug, '1')).status).toBe(402);
  });

  it('is one of exactly as many as were set, of each that has an id of its own', async () => {
    const source = await makeSource(app, { plan: 'metered', monthlyLimit: 30 });
    const answers = await postMany(source, 100);
    expect(statusesOf(answers)).toEqual({ 200: 30, 402: 70 });
    const ids = answers.filter(({ status }) => status === 200).map(({ body }) => body.id as string);
    expect((await stored(source)).map(({ id }) => id)).toEqual(ids.sort());
    await ask(app, 'PATCH', `/sources/${source.id}`, { body: { monthlyLimit: null } });
    expect((await post(app, source.slug, '1')).status).toBe(200);
    expect(await accepted(app, source)).toBe(31);
  });

  it('begins a new month at nothing', async () => {
    const source = await makeSource(app);
    await setUsage(source, 1_000);
    expect((await post(app, source.slug, '1')).status).toBe(402);
    await app.database.query(
      `update realtime.source_usage set month = month - interval '1 month' where source_id = $1`,
      [source.id],
    );
    expect((await post(app, source.slug, '1')).status).toBe(200);
    expect(await accepted(app, source)).toBe(1);
  });

  it('is not counted where something fails, and is to be sent again where its channel is closed', async () => {
    const source = await makeSource(app);
    await app.database.query(`create function fail() returns trigger language plpgsql as $$
      begin if new.channel_name = tg_argv[0] then raise 'planted'; end if; return new; end $$`);
    await app.database.query(
      `create trigger fail before insert on realtime.messages for each row execute function fail('${source.channel}')`,
    );
    expect(await post(app, source.slug, '1')).toMatchObject({
      ...{ status: 500, body: { error: 'internal', message: 'Internal error', statusCode: 500 } },
    });
    expect(await accepted(app, source)).toBe(0);
    await app.database.query('drop trigger fail on realtime.messages');
    for (const change of ['enabled = false', 'enabled = true, persist = false']) {
      await app.database.query(`update realtime.channels set ${change} where pattern = $1`, [source.channel]);
      expect((await post(app, source.slug, '1')).status, change).toBe(503);
    }
    await app.database.query(`update realtime.channels set persist = null where pattern = $1`, [source.channel]);
    expect((await post(app, source.slug, '1')).status).toBe(200);
    expect(await accepted(app, source)).toBe(1);
  });

  it('is counted by the status of its answer', async () => {
    const response = await fetch(`http://127.0.0.1:${app.app().port}/metrics`);
    expect(await response.text()).toMatch(/rowcast_webhooks_received_total\{status="200"\} \d+/);
  });
});

describeNewestPostgres('a source', (postgres) => {
  it('needs no superuser', () =>
    withPlainApp(postgres, async (app) => {
      const source = await makeSource(app);
      expect((await post(app, source.slug, '{}')).status).toBe(200);
      expect(await accepted(app, source)).toBe(1);
      for (const [method, path] of [['POST', '/rotate'] as const, ['DELETE', ''] as const])
        expect((await ask(app, method, `/sources/${source.id}${path}`)).status).toBe(200);
    }));
});

describeNewestPostgres('too many incoming webhooks', (postgres) => {
  it('are told when to come back, and keep no other source from its own', async () => {
    const env = {
      ROWCAST_RATE_LIMIT: 'on',
      ROWCAST_SOURCE_WEBHOOKS_PER_SECOND: '2',
      ROWCAST_REQUESTS_PER_MINUTE: '20',
    };
    await using app = await startTestApp(postgres, { env });
    const [busy, calm] = [await makeSource(app), await makeSource(app)];
    const answers = await Promise.all(Array.from({ length: 10 }, () => post(app, busy.slug, '{"a":')));
    const refused = answers.filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThanOrEqual(4);
    expect(answers.every(({ status }) => status === 429 || status === 400)).toBe(true);
    expect(refused[0]?.headers.get('retry-after')).toMatch(/^\d+$/);
    expect(refused[0]?.headers.get('x-ratelimit-limit')).toBe('2');
    expect((await post(app, calm.slug, '1')).status).toBe(200);
    const guesses: number[] = [];
    for (let guess = 0; guess < 22; guess += 1)
      guesses.push((await post(app, `${guess}`.padStart(24, 'x'), '1')).status);
    expect(guesses).toEqual([...Array(20).fill(404), 429, 429]);
  });
});

/** The headers of Standard Webhooks. */
function signed(text: string, { atMs = Date.now() }: { atMs?: number } = {}): Record<string, string> {
  const [id, timestamp] = ['msg_1', String(Math.floor(atMs / 1000))];
  const key = Buffer.from(SECRET.slice(6), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${text}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}
