// Bad input on every endpoint, made from the OpenAPI document of a running server: refused with a stable code, never
// 5xx, and nothing is written. Routes that are added are covered as soon as they are in the document.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { token as gatewayToken, openGateway } from '../gateway/open-gateway.ts';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { figure, isSoak, scaled, seed } from '../rig/scale.ts';
import { type Fuzzed, type FuzzOptions, findFault, fuzz } from './openapi-fuzz.ts';
import { startTestApp, type TestApp } from './test-app.ts';

/** Of every table that a request could write to, and of what it could do to the catalogue. */
const WRITTEN = `
  select concat_ws(' ',
    (select md5(string_agg(c::text, ' ' order by c.id)) from realtime.channels as c),
    (select md5(string_agg(m::text, ' ' order by m.id)) from realtime.messages as m),
    (select md5(string_agg(m::text, ' ' order by m.message_id)) from realtime.message_ids as m),
    (select md5(string_agg(c::text, ' ' order by c.position)) from realtime.changes as c),
    (select md5(string_agg(s::text, ' ')) from realtime.settings as s),
    (select md5(string_agg(e::text, ' ' order by e.id)) from realtime.webhook_endpoints as e),
    (select md5(string_agg(d::text, ' ' order by d.id)) from realtime.webhook_deliveries as d),
    (select md5(string_agg(s::text, ' ' order by s.id)) from realtime.sources as s),
    (select md5(string_agg(w.relation || w.publication || w.wants_full, ' ' order by w.relid)) from realtime.watched as w),
    (select md5(string_agg(p::text, ' ' order by p.oid)) from pg_policy as p),
    (select md5(string_agg(r::text, ' ' order by r.oid)) from pg_publication_rel as r),
    (select md5(string_agg(c.relname || c.relreplident::text, ' ' order by c.oid)) from pg_class as c where c.relkind in ('r', 'p')
      and c.relnamespace = 'public'::regnamespace)) as digest`;

const TIMEOUT_MS = isSoak ? 1_800_000 : 60_000;

describeNewestPostgres('bad input', (postgres) => {
  let app: TestApp;
  let baseUrl: string;
  beforeAll(async () => {
    app = await startTestApp(postgres, {
      channels: 'closed',
      // Nothing is called here.
      env: { ROWCAST_WEBHOOKS: 'off' },
      sql: `create table posts (id int primary key, title text);
        insert into realtime.channels (pattern, description) values ('order:*', 'orders'), ('chat:*', null);
        insert into realtime.channels (pattern, persist) values ('typing:*', false);
        insert into realtime.webhook_endpoints (url, pattern, secret) values ('https://example.com/', 'order:*', realtime.webhook_secret());
        insert into realtime.sources (name, slug, token_hash) values ('shop', 'a-slug-that-nobody-posts-to', 'x');
        select realtime.watch('posts');
        select realtime.publish('order:123', 'order.created', '{"total": 99.99}')`,
    });
    baseUrl = `http://127.0.0.1:${app.app().port}`;
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const run = async (more: Pick<FuzzOptions, 'kind' | 'token'> & Partial<FuzzOptions>): Promise<Fuzzed> => {
    const ids = await app.database.query<{ id: string }>(
      'select id from realtime.channels union all select id from realtime.sources union all select id from realtime.webhook_endpoints',
    );
    const seeds = {
      id: ids.map(({ id }) => id),
      channelId: ids.map(({ id }) => id),
      pattern: ['order:*', 'order:%', 'db:posts', 'db:nothing', 'db:*', 'a b', ''],
      table: ['posts', 'public.posts', 'nothing', 'realtime.channels', 'a.b.c', '"'],
      channel: ['order:123', 'typing:1', 'db:posts', 'order:*', 'system'],
      event: ['e', 'system', 'order.created'],
      since: ['2024-01-01T00:00:00Z', '2024-01-01', '6b03fedc-00000000018d3490-00000001', 'yesterday', ''],
      until: ['2999-01-01T00:00:00Z', 'x'],
      before: ['2000-01-01T00:00:00Z', 'ffffffff-ffffffffffffffff-ffffffff', 'x'],
      claims: [{ role: 'authenticated', sub: 'u' }, { role: 'service_role' }, { role: 'none' }, {}],
      url: ['https://example.com/hook', 'http://127.0.0.1/', 'ftp://x', ''],
      role: ['authenticated', 'postgres', null],
      month: ['2024-05', '2024-13', ''],
      roles: [['anon'], ['authenticated', 'anon'], ['postgres'], []],
    };
    // Nothing that can be read is bad there: webhook-in.test.ts says what is.
    const without = more.kind === 'bad' ? ['post /api/in/{slug}'] : [];
    const options = { baseUrl, seed, seeds, runsPerOperation: scaled(40, 1_000), without, ...more };
    const fuzzed = await fuzz(options);
    figure(`${more.kind}: ${fuzzed.requests} requests, ${JSON.stringify(Object.fromEntries(fuzzed.statuses))}`);
    return fuzzed;
  };
  const written = async (): Promise<unknown> => (await app.database.query(WRITTEN))[0];

  describe.each([
    ['an admin', () => app.adminToken()],
    ['a user', () => app.token('authenticated')],
    ['nobody', () => null],
    ['a forger', () => 'eyJhbGciOiJub25lIn0.e30.'],
  ])('of %s', (_, token) => {
    it('is refused on every operation, and nothing is written', { timeout: TIMEOUT_MS }, async () => {
      const before = await written();
      const fuzzed = await run({ kind: 'bad', token: token() });
      expect(fuzzed.faults).toEqual([]);
      expect(fuzzed.operations.length).toBeGreaterThan(15);
      expect([...fuzzed.statuses.keys()].every((status) => status >= 400 && status < 500)).toBe(true);
      expect(await written()).toEqual(before);
    });
  });

  it('of whoever has no right to anything writes nothing, however it fits', { timeout: TIMEOUT_MS }, async () => {
    const before = await written();
    for (const token of [app.token('authenticated'), null]) {
      for (const kind of ['valid', 'odd'] as const) expect((await run({ kind, token })).faults).toEqual([]);
    }
    expect(await written()).toEqual(before);
  });

  it('may be odd in any way, and valid input is never too much', { timeout: TIMEOUT_MS }, async () => {
    const token = app.adminToken();
    expect((await run({ kind: 'odd', token })).faults).toEqual([]);
    const valid = await run({ kind: 'valid', token });
    expect(valid.faults).toEqual([]);
    for (const status of [200, 201, 400, 404, 409]) expect([...valid.statuses.keys()]).toContain(status);
  });

  it('would be noticed in the database', async () => {
    const changes = [
      `insert into realtime.channels (pattern) values ('noticed')`,
      `select realtime.publish('noticed', 'e', '1')`,
      `update realtime.settings set retention_days = 12345`,
      `insert into realtime.webhook_endpoints (url, pattern) values ('https://example.org/', 'noticed')`,
      `insert into realtime.sources (name, slug, token_hash) values ('noticed', 'noticed', 'noticed')`,
      `create policy noticed on realtime.channels using (false)`,
      `alter table posts replica identity nothing`,
    ];
    for (const change of changes) {
      const before = await written();
      await app.database.query(change);
      expect(await written(), change).not.toEqual(before);
    }
  });
});

describe('the property', () => {
  const ADMIN = gatewayToken({ role: 'service_role', sub: 'admin' });
  const operation = {
    name: '',
    method: 'GET',
    path: '',
    parameters: [],
    body: undefined,
    statuses: new Set([200, 400]),
  };
  const answer = (status: number, body: object) => ({ status, headers: {}, text: JSON.stringify(body) });

  it('catches a route that throws', async () => {
    const list = (): never => {
      throw new Error('planted');
    };
    const permissions = { list, check: async () => list() };
    await using server = await openGateway({ permissions, env: { ROWCAST_RATE_LIMIT: 'off' } });
    const options = { baseUrl: server.http, token: ADMIN, seed, seeds: {}, runsPerOperation: 20 };
    const { faults } = await fuzz({ ...options, kind: 'valid' });
    expect(faults.map((fault) => fault.split(' (')[0])).toEqual([
      'get /api/realtime/permissions',
      'post /api/realtime/permissions/check',
    ]);
    expect(faults[0]).toContain('answered 500');
  });

  it.each([
    ['takes what is wrong', answer(200, {}), 'took what it should refuse'],
    ['answers with a status that the document does not name', answer(409, {}), 'does not name 409'],
    ['has another shape', answer(400, { error: 'bad_request', message: 'm' }), 'statusCode'],
    ['has a code of its own', answer(400, { error: 'Bad Request', message: 'm', statusCode: 400 }), 'no stable code'],
    ['says nothing', answer(400, { error: 'bad_request', message: '', statusCode: 400 }), 'no message'],
  ])('catches an answer that %s', (_, given, fault) => {
    expect(findFault(operation, given, 'bad')).toContain(fault);
  });
});
