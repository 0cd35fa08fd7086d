// Sources of incoming webhooks over REST: what is shown and what never again, what a change means for the channel, for
// the limit of the month, and for the streams that a token opened.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { openPool } from '../../server/db/pools.ts';
import { SourceTokens } from '../../server/webhooks/source-tokens.ts';
import { collectingLog } from '../db/migrated.ts';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { ask, type RestAnswer } from './rest-client.ts';
import { accepted, type MadeSource, makeSource, post } from './source-posts.ts';
import { startTestApp, type TestApp } from './test-app.ts';

const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const FIELDS = [
  ...['id', 'name', 'slug', 'path', 'channel', 'plan', 'monthlyLimit', 'enabled', 'verifiesSignature'],
  ...['rotatedAt', 'createdAt', 'updatedAt'],
];

describeNewestPostgres('sources over REST', (postgres) => {
  let app: TestApp;
  let other: { readonly tokens: SourceTokens; close(): Promise<void> };
  beforeAll(async () => {
    app = await startTestApp(postgres);
    // As another server beside it, which hears of nothing but what the database says.
    const options = { connectionString: app.database.url, applicationName: 'other', max: 1, statementTimeoutMs: 0 };
    const { pool, close } = openPool({ ...options, log: collectingLog() });
    other = { tokens: new SourceTokens(pool), close };
  });
  afterAll(async () => {
    await other.close();
    await app[Symbol.asyncDispose]();
  });

  const rest = (method: string, path: string, body?: unknown): Promise<RestAnswer> => ask(app, method, path, { body });
  const channels = async ({ channel }: MadeSource): Promise<readonly object[]> =>
    (await rest('GET', '/channels')).body.filter(({ pattern }: { pattern: string }) => pattern === channel);
  /** How often the stream that `source` opened was ended. */
  const openStream = async ({ token }: MadeSource): Promise<{ ended: number }> => {
    const found = await other.tokens.find(token);
    if (found === undefined) throw new Error('the token opens nothing');
    const stream = { ended: 0 };
    other.tokens.onSourceEnded(found, () => {
      stream.ended += 1;
    });
    return stream;
  };

  it('are created with a slug, a token and a channel of their own', async () => {
    const source = await makeSource(app);
    expect(Object.keys(source)).toEqual([...FIELDS, 'token']);
    expect(source).toMatchObject({
      ...{ name: 'shop', plan: 'free', monthlyLimit: null, enabled: true, verifiesSignature: false, rotatedAt: null },
      ...{ channel: `in:${source.id}`, path: `/api/in/${source.slug}` },
    });
    expect(source.slug).toMatch(/^[A-Za-z0-9_-]{24}$/);
    expect(source.token).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(await channels(source)).toMatchObject([{ enabled: true, persist: null }]);
  });

  it('show the token once, and the secret of the sender never', async () => {
    const source = await makeSource(app, { verificationSecret: SECRET });
    expect(source.verifiesSignature).toBe(true);
    const shown = [await rest('GET', '/sources'), await rest('GET', `/sources/${source.id}`)];
    expect(Object.keys(shown[1]?.body)).toEqual(FIELDS);
    const text = JSON.stringify([source.verificationSecret, shown.map(({ body }) => body)]);
    for (const secret of [source.token, SECRET.slice(6)]) expect(text).not.toContain(secret);
    const stored = await app.database.query('select s::text as row from realtime.sources as s');
    expect(JSON.stringify(stored)).not.toContain(source.token);
  });

  it('are listed, the oldest first, and read one by one', async () => {
    const made = [await makeSource(app, { name: 'first' }), await makeSource(app, { name: 'second' })];
    const { status, body } = await rest('GET', '/sources');
    expect(status).toBe(200);
    expect(body.slice(-2).map(({ id }: { id: string }) => id)).toEqual(made.map(({ id }) => id));
    const { token, ...first } = made[0] as MadeSource;
    expect(await rest('GET', `/sources/${first.id}`)).toMatchObject({ status: 200, body: first });
  });

  it('change what is given and nothing else', async () => {
    const { token, ...source } = await makeSource(app, {
      plan: 'metered',
      monthlyLimit: 7,
      verificationSecret: SECRET,
    });
    const { status, body } = await rest('PATCH', `/sources/${source.id}`, { name: 'renamed' });
    expect(status).toBe(200);
    expect(body).toEqual({ ...source, name: 'renamed', updatedAt: body.updatedAt });
    const reset = { monthlyLimit: null, verificationSecret: null };
    expect((await rest('PATCH', `/sources/${source.id}`, reset)).body).toMatchObject({
      ...{ name: 'renamed', plan: 'metered', monthlyLimit: null, verifiesSignature: false },
    });
    expect((await rest('PATCH', `/sources/${source.id}`, {})).status).toBe(200);
  });

  it.each([
    ['more than the plan allows', { name: 'a', plan: 'free', monthlyLimit: 1001 }, 'at most 1000 a month'],
    ['a limit below 0', { name: 'a', plan: 'metered', monthlyLimit: -1 }, 'monthlyLimit'],
    ['another plan', { name: 'a', plan: 'gold' }, 'plan'],
    ['no name', { plan: 'free' }, 'name'],
    ['a secret that is none', { name: 'a', verificationSecret: 'secret' }, 'verificationSecret'],
    ['a slug of one’s own', { name: 'a', slug: 'mine' }, 'slug'],
  ])('are not created with %s', async (_, body, said) => {
    const answer = await rest('POST', '/sources', body);
    expect(answer).toMatchObject({ status: 400, body: { error: 'bad_request' } });
    expect(answer.body.message).toContain(said);
  });

  it('do not become free with a limit that is not', async () => {
    const { id } = await makeSource(app, { plan: 'metered', monthlyLimit: 5000 });
    expect((await rest('PATCH', `/sources/${id}`, { plan: 'free' })).status).toBe(400);
    expect((await rest('PATCH', `/sources/${id}`, { plan: 'free', monthlyLimit: 10 })).status).toBe(200);
  });

  it('are for admins only', async () => {
    for (const token of [null, app.token('authenticated')])
      expect((await ask(app, 'GET', '/sources', { token })).status).toBe(token === null ? 401 : 403);
  });

  it('that do not exist are told so, whatever is asked', async () => {
    const asked = [
      ['GET', ''],
      ['PATCH', '', { name: 'x' }],
      ['DELETE', ''],
      ['POST', '/rotate'],
      ['GET', '/usage'],
    ] as const;
    for (const [method, path, body] of asked)
      expect(await rest(method, `/sources/${UNKNOWN_ID}${path}`, body), method + path).toMatchObject({
        ...{ status: 404, body: { error: 'not_found', message: 'There is no source with this id' } },
      });
  });

  it('have a token that opens them, and no one else', async () => {
    const [one, two] = [await makeSource(app), await makeSource(app)];
    expect(await other.tokens.find(one.token)).toMatchObject({
      sourceId: one.id,
      slug: one.slug,
      channel: one.channel,
    });
    expect(await other.tokens.find(two.token)).toMatchObject({ sourceId: two.id });
    for (const token of ['', one.slug, `${one.token}x`, 'a'.repeat(43), '\0', `${one.token.slice(0, -1)}é`])
      expect(await other.tokens.find(token)).toBeUndefined();
  });

  it('get another token by rotation, and what the old one opened ends', async () => {
    const source = await makeSource(app);
    const [stream, untouched] = [await openStream(source), await openStream(await makeSource(app))];
    const { status, body } = await rest('POST', `/sources/${source.id}/rotate`);
    expect(status).toBe(200);
    expect(body).toMatchObject({
      id: source.id,
      slug: source.slug,
      token: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
    });
    expect(body.rotatedAt).not.toBeNull();
    expect(await other.tokens.find(source.token)).toBeUndefined();
    const renewed = await openStream(body);
    await other.tokens.look();
    await other.tokens.look();
    expect([stream.ended, untouched.ended, renewed.ended]).toEqual([1, 0, 0]);
  });

  it('end their streams when they are disabled, and have them again when they are not', async () => {
    const source = await makeSource(app);
    const stream = await openStream(source);
    await rest('PATCH', `/sources/${source.id}`, { enabled: false });
    await other.tokens.look();
    expect(stream.ended).toBe(1);
    expect(await other.tokens.find(source.token)).toBeUndefined();
    expect((await post(app, source.slug, '1')).status).toBe(404);
    await rest('PATCH', `/sources/${source.id}`, { enabled: true });
    expect(await other.tokens.find(source.token)).toBeDefined();
    expect((await post(app, source.slug, '1')).status).toBe(200);
  });

  it('take streams and channel with them when they are deleted, and leave the history', async () => {
    const source = await makeSource(app);
    const stream = await openStream(source);
    const { body } = await post(app, source.slug, '{"kept": true}');
    expect(await rest('DELETE', `/sources/${source.id}`)).toMatchObject({
      status: 200,
      body: { message: 'Source deleted' },
    });
    await other.tokens.look();
    expect(stream.ended).toBe(1);
    expect(await channels(source)).toEqual([]);
    expect((await post(app, source.slug, '1')).status).toBe(404);
    expect(
      await app.database.query(`select id from realtime.messages where channel_name = $1`, [source.channel]),
    ).toEqual([{ id: body.id }]);
    expect((await rest('DELETE', `/sources/${source.id}`)).status).toBe(404);
  });

  it('tell what they accepted by month, each with the limit by which it was counted', async () => {
    const source = await makeSource(app, { plan: 'metered', monthlyLimit: 50 });
    await app.database.query(
      `insert into realtime.source_usage (source_id, month, accepted, monthly_limit) values ($1, '2024-05-01', 417, 500)`,
      [source.id],
    );
    await post(app, source.slug, '1');
    const month = new Date().toISOString().slice(0, 7);
    const usage = (query = ''): Promise<RestAnswer> => rest('GET', `/sources/${source.id}/usage${query}`);
    expect((await usage()).body).toEqual({ month, accepted: 1, limit: 50 });
    expect((await usage('?month=2024-05')).body).toEqual({ month: '2024-05', accepted: 417, limit: 500 });
    expect((await usage('?month=2024-06')).body).toMatchObject({ month: '2024-06', accepted: 0 });
    for (const query of ['?month=2024-13', '?month=May', '?moon=1']) expect((await usage(query)).status).toBe(400);
    await rest('PATCH', `/sources/${source.id}`, { monthlyLimit: null });
    expect((await usage()).body).toEqual({ month, accepted: 1, limit: null });
  });

  it('keep their figures, slugs and tokens over a restart', async () => {
    const source = await makeSource(app);
    await post(app, source.slug, '1');
    await app.restart();
    expect(await accepted(app, source)).toBe(1);
    await post(app, source.slug, '2');
    expect(await accepted(app, source)).toBe(2);
    expect(await other.tokens.find(source.token)).toBeDefined();
  });
});
