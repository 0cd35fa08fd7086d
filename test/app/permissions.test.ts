// The routes that explain permissions: the printed list, and the check that says why somebody gets nothing.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { startTestApp, type TestApp } from './test-app.ts';

type Answer = { readonly status: number; readonly body: Record<string, unknown> };
type Policy = { readonly policyName: string; readonly result?: string };

describeNewestPostgres('permissions', (postgres) => {
  let app: TestApp;

  beforeAll(async () => {
    app = await startTestApp(postgres, {
      channels: 'closed',
      env: { ROWCAST_POLICY_TIMEOUT: '500ms' },
      sql: `insert into realtime.channels (pattern) values ('order:*'), ('chat:*');
        insert into realtime.channels (pattern, enabled) values ('closed:*', false);
        insert into realtime.channels (pattern, persist) values ('typing:*', false);
        create policy allow_authenticated_subscribe on realtime.channels for select to authenticated using (enabled = true);
        create policy admins_do_all on realtime.channels using (auth.jwt() ->> 'staff' = 'yes');
        create policy not_chat on realtime.channels as restrictive for select using (pattern <> 'chat:*');
        create policy allow_authenticated_publish on realtime.messages for insert to authenticated with check (true);
        create policy no_shouting on realtime.messages as restrictive for insert
          with check (event_name <> 'shout' and (payload ->> 'n')::int > 0 and sender_id = auth.jwt() ->> 'sub');
        create table posts (id int primary key, note text, hidden text);
        grant select (id, note) on posts to authenticated;
        alter table posts enable row level security;
        create policy own on posts using (note = auth.jwt() ->> 'sub');
        select realtime.watch('posts');
        create table quiet (id int primary key)`,
    });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  async function ask(path: string, token: string | undefined, body?: object): Promise<Answer> {
    const response = await fetch(`http://127.0.0.1:${app.app().port}/api/realtime/permissions${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  }
  const check = (body: object): Promise<Answer> => ask('/check', app.adminToken(), body);
  const subscribe = async (channel: string, claims: object = {}): Promise<Record<string, unknown>> =>
    (await check({ claims: { role: 'authenticated', ...claims }, action: 'subscribe', channel })).body;
  const publish = async (channel: string, more: object = {}): Promise<Record<string, unknown>> => {
    const claims = { role: 'authenticated', sub: 'u' };
    return (await check({ claims, action: 'publish', channel, event: 'e', payload: { n: 1 }, ...more })).body;
  };
  const results = (body: Record<string, unknown>): Record<string, unknown> =>
    Object.fromEntries((body.policies as Policy[]).map(({ policyName, result }) => [policyName, result]));

  it('are listed as printed, with what Rowcast adds behind', async () => {
    const { status, body } = await ask('', app.adminToken());
    expect(status).toBe(200);
    const { subscribe: ofSubscribe, publish: ofPublish } = body as Record<string, { policies: Policy[] }>;
    expect(Object.keys(body)).toEqual(['subscribe', 'publish']);
    const named = (policies: Policy[] | undefined, name: string) => policies?.find((each) => each.policyName === name);
    const printed = named(ofSubscribe?.policies, 'allow_authenticated_subscribe');
    expect(printed).toEqual({
      policyName: 'allow_authenticated_subscribe',
      tableName: 'realtime_channels',
      command: 'SELECT',
      roles: ['authenticated'],
      using: 'enabled = true',
      withCheck: null,
      schema: 'realtime',
      table: 'channels',
      permissive: true,
    });
    expect(Object.keys(printed ?? {}).slice(0, 6)).toEqual([
      'policyName',
      'tableName',
      'command',
      'roles',
      'using',
      'withCheck',
    ]);
    expect(named(ofPublish?.policies, 'allow_authenticated_publish')).toMatchObject({
      tableName: 'realtime_messages',
      command: 'INSERT',
      using: null,
      withCheck: 'true',
    });
    expect(named(ofSubscribe?.policies, 'admins_do_all')).toMatchObject({ command: 'ALL', roles: ['public'] });
    expect(named(ofPublish?.policies, 'rowcast_admitted')).toMatchObject({ permissive: false });
  });

  it.each([
    ['the list', ''],
    ['the check', '/check'],
  ])('are for admins only: %s', async (_, path) => {
    const body = path === '' ? undefined : { nonsense: true };
    expect(await ask(path, undefined, body)).toMatchObject({ status: 401, body: { error: 'auth_required' } });
    expect(await ask(path, 'nope', body)).toMatchObject({ status: 401, body: { error: 'bad_token' } });
    expect(await ask(path, app.token('authenticated'), body)).toMatchObject({
      status: 403,
      body: { error: 'forbidden', statusCode: 403 },
    });
  });

  it.each([
    ['an unknown field', { claims: { role: 'anon' }, action: 'subscribe', channel: 'a', chanel: 'b' }, 'bad_request'],
    ['another action', { claims: { role: 'anon' }, action: 'read', channel: 'a' }, 'bad_request'],
    ['no claims', { action: 'subscribe', channel: 'a' }, 'bad_request'],
    ['claims that are no object', { claims: 'anon', action: 'subscribe', channel: 'a' }, 'bad_request'],
    [
      'claims that jsonb cannot hold',
      { claims: { role: 'anon', x: '\0' }, action: 'subscribe', channel: 'a' },
      'bad_request',
    ],
    ['a role that is not listed', { claims: { role: 'postgres' }, action: 'subscribe', channel: 'a' }, 'unknown_role'],
    ['no role', { claims: {}, action: 'subscribe', channel: 'a' }, 'unknown_role'],
    ['the role none', { claims: { role: 'none' }, action: 'subscribe', channel: 'a' }, 'unknown_role'],
    ['a pattern', { claims: { role: 'anon' }, action: 'subscribe', channel: 'a:*' }, 'wildcard_not_supported'],
    ['a bad name', { claims: { role: 'anon' }, action: 'subscribe', channel: 'a b' }, 'bad_name'],
    ['publishing without an event', { claims: { role: 'anon' }, action: 'publish', channel: 'a' }, 'bad_request'],
    [
      'an event to subscribe',
      { claims: { role: 'anon' }, action: 'subscribe', channel: 'a', event: 'e' },
      'bad_request',
    ],
    [
      'a zero byte',
      { claims: { role: 'anon' }, action: 'publish', channel: 'a', event: 'e', payload: ['\0'] },
      'bad_request',
    ],
  ])('cannot be checked for %s', async (_, body, error) => {
    expect(await check(body)).toMatchObject({ status: 400, body: { error, statusCode: 400 } });
  });

  describe('to subscribe', () => {
    it('say which policies pass, and which channel row decides', async () => {
      expect(await subscribe('order:1')).toEqual({
        allowed: true,
        reason: 'allowed',
        message: expect.any(String),
        channel: { pattern: 'order:*', enabled: true },
        policies: [
          { policyName: 'admins_do_all', permissive: true, result: 'fails' },
          { policyName: 'allow_authenticated_subscribe', permissive: true, result: 'passes' },
          { policyName: 'not_chat', permissive: false, result: 'passes' },
        ],
      });
    });

    it.each<[string, string, object, string, object]>([
      ['no channel', 'nothing:1', {}, 'no_channel', {}],
      ['a disabled one', 'closed:1', {}, 'channel_disabled', { channel: { pattern: 'closed:*', enabled: false } }],
      ['a restrictive policy', 'chat:1', {}, 'restrictive_policy', {}],
      ['no policy that passes', 'order:1', { role: 'anon' }, 'policy_denies', {}],
      ['a table that is not watched', 'db:quiet', {}, 'not_watched', { table: { watched: false } }],
      ['a table that is not there', 'db:nothing', {}, 'not_watched', {}],
    ])('are denied for %s, and say so', async (_, channel, claims, reason, more) => {
      expect(await subscribe(channel, claims)).toMatchObject({ allowed: false, reason, ...more });
    });

    it('follow the claims', async () => {
      expect(await subscribe('order:1', { role: 'anon', staff: 'yes' })).toMatchObject({ allowed: true });
    });

    it('of an admin are never asked of policies', async () => {
      expect(await subscribe('chat:1', { role: 'service_role' })).toMatchObject({
        allowed: true,
        reason: 'admin',
        policies: [],
      });
      expect(await subscribe('closed:1', { role: 'service_role' })).toMatchObject({ allowed: false });
    });

    it('to a table show what of it the role has', async () => {
      expect(await subscribe('db:posts', { sub: 'u' })).toMatchObject({
        allowed: true,
        table: {
          schema: 'public',
          table: 'posts',
          watched: true,
          complete: true,
          identity: 'key',
          rowSecurity: true,
          columns: ['id', 'note'],
          policies: [{ policyName: 'own', permissive: true }],
          warnings: [{ code: 'identity_not_full', message: expect.any(String) }],
        },
      });
      expect(await subscribe('db:posts', { role: 'anon', staff: 'yes' })).toMatchObject({
        allowed: false,
        reason: 'no_table_grant',
        table: { columns: [] },
      });
    });
  });

  describe('to publish', () => {
    it('say which policies pass, with the one that admits', async () => {
      const body = await publish('order:1');
      expect(body).toMatchObject({ allowed: true, reason: 'allowed', channel: { pattern: 'order:*' } });
      expect(results(body)).toEqual({
        allow_authenticated_publish: 'passes',
        no_shouting: 'passes',
        rowcast_admitted: 'passes',
      });
    });

    it.each<[string, string, object, string]>([
      ['a restrictive policy', 'order:1', { event: 'shout' }, 'restrictive_policy'],
      ['a policy that raises', 'order:1', { payload: { n: 'x' } }, 'policy_raises'],
      ['no channel', 'nothing:1', {}, 'no_channel'],
      ['a disabled channel', 'closed:1', {}, 'channel_disabled'],
      ['a channel that is not persisted', 'typing:1', {}, 'not_persisted'],
      ['a table', 'db:posts', {}, 'reserved_name'],
      ['a reserved event', 'order:1', { event: 'Pusher:x' }, 'reserved_name'],
      ['a role without a policy', 'order:1', { claims: { role: 'anon' } }, 'no_policy'],
    ])('are denied for %s, and say so', async (_, channel, more, reason) => {
      expect(await publish(channel, more)).toMatchObject({ allowed: false, reason });
    });

    it('name the policy that raises, and what', async () => {
      const { policies } = await publish('order:1', { payload: { n: 'x' } });
      expect(policies).toContainEqual({
        policyName: 'no_shouting',
        permissive: false,
        result: 'raises',
        sqlstate: '22P02',
        message: expect.stringContaining('integer'),
      });
    });

    it.each([
      ['order:1', {}],
      ['order:1', { event: 'shout' }],
      ['order:1', { payload: { n: 'x' } }],
      ['nothing:1', {}],
      ['closed:1', {}],
      ['typing:1', {}],
      ['order:1', { claims: { role: 'anon' } }],
    ])('agree with an INSERT that is made: %s %j', async (channel, more) => {
      const asked = { claims: { role: 'authenticated', sub: 'u' }, event: 'e', payload: { n: 1 }, ...more };
      const client = await app.database.connect();
      await client.query('begin');
      await client.query(`select set_config('request.jwt.claims', $1, true), set_config('role', $2, true)`, [
        JSON.stringify(asked.claims),
        asked.claims.role,
      ]);
      const inserted = await client
        .query('insert into realtime.messages (channel_name, event_name, payload) values ($1, $2, $3)', [
          channel,
          asked.event,
          JSON.stringify(asked.payload),
        ])
        .then(
          () => true,
          () => false,
        );
      await client.query('rollback');
      await client.end();
      expect(await publish(channel, more)).toMatchObject({ allowed: inserted });
    });
  });

  it('name a policy that never ends, and still what the others say', async () => {
    await app.database.query(`insert into realtime.channels (pattern) values ('slow:*');
      create policy sluggish on realtime.channels as restrictive for select
        using (pattern <> 'slow:*' or (select true from pg_sleep(60)))`);
    const body = await subscribe('slow:1');
    expect(body).toMatchObject({ allowed: false, reason: 'undecided' });
    expect(results(body)).toMatchObject({ allow_authenticated_subscribe: 'passes', sluggish: 'raises' });
    expect(await subscribe('order:1')).toMatchObject({ allowed: true });
    await app.database.query('drop policy sluggish on realtime.channels');
  });

  it('are checked without writing anything', async () => {
    const written = `select (select count(*)::text from realtime.messages) as messages,
      (select count(*)::text from realtime.message_ids) as ids, realtime.channels_fingerprint() as channels`;
    const before = await app.database.query(written);
    await publish('order:1');
    await subscribe('order:1');
    expect(await app.database.query(written)).toEqual(before);
  });
});
