// Watched tables over REST against real databases: what is told of them, watching and letting go, who may subscribe
// by it, and what stands in the way.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { describeNewestPostgres, type TestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { withPlainApp } from './plain-app.ts';
import { ask, type RestAnswer } from './rest-client.ts';
import { startTestApp, type TestApp } from './test-app.ts';

const ORDER_ITEMS = encodeURIComponent('audit."Order Items"');

describeNewestPostgres('tables over REST', (postgres) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp(postgres, {
      channels: 'closed',
      sql: `create table posts (id int primary key, title text);
        alter table posts enable row level security;
        create policy own on posts for select to authenticated using (title = 'mine');
        create policy not_secret on posts as restrictive using (title <> 'secret');
        grant select on posts to authenticated;
        create schema audit; grant usage on schema audit to authenticated;
        create table audit."Order Items" (id int primary key, note text, price int);
        grant select (id, note) on audit."Order Items" to authenticated;
        create table keyless (a int);
        create view looks as select 1 as a;
        create table roomy (id int primary key, twice int generated always as (id * 2) stored);
        create table "Größe %/x" (id int primary key)`,
    });
  });
  afterAll(() => app[Symbol.asyncDispose]());
  beforeEach(async () => {
    await app.database.query('delete from realtime.channels');
    await app.database.query('alter table posts replica identity default');
  });

  const rest = (method: string, path: string, body?: unknown): Promise<RestAnswer> => ask(app, method, path, { body });
  const watch = (table: string, body?: unknown): Promise<RestAnswer> => rest('POST', `/tables/${table}/watch`, body);
  const unwatch = (table: string): Promise<RestAnswer> => rest('DELETE', `/tables/${table}/watch`);
  const policies = async (): Promise<unknown[]> =>
    (
      await app.database.query(
        `select polname::text as name from pg_policy where polname like 'rowcast\\_watch\\_%' order by 1`,
      )
    ).map(({ name }) => name);
  const codes = (warnings: readonly { code: string }[]): string[] => warnings.map(({ code }) => code);

  it('are watched with their report as the answer, and listed', async () => {
    const { status, body } = await watch('public.posts');
    expect(status).toBe(200);
    expect(body).toMatchObject({
      ...{ schema: 'public', table: 'posts', channel: 'db:posts', enabled: true, identity: 'key', identityGap: null },
      ...{ rowSecurity: true, columns: ['id', 'title'], warnings: [] },
    });
    const authenticated = body.roles.find(({ role }: { role: string }) => role === 'authenticated');
    expect(authenticated).toMatchObject({
      ...{ opened: false, columns: ['id', 'title'], rowSecurity: true },
      policies: [
        { policyName: 'not_secret', permissive: false },
        { policyName: 'own', permissive: true },
      ],
    });
    expect(codes(authenticated.warnings)).toEqual(['identity_not_full']);
    const anon = body.roles.find(({ role }: { role: string }) => role === 'anon');
    expect(codes(anon.warnings)).toEqual(['no_grant', 'no_policy']);
    expect(anon.warnings[0].message).toContain('grant select on "public"."posts" to "anon"');
    await until(async () => (await rest('GET', '/tables')).body[0].complete, { what: 'the watching to be complete' });
    expect((await rest('GET', '/tables')).body).toEqual([{ ...body, complete: true }]);
  });

  it('are named as SQL names them, quoted where needed and URL-encoded', async () => {
    expect((await watch(ORDER_ITEMS)).body).toMatchObject({
      ...{ schema: 'audit', table: 'Order Items', channel: 'db:audit."Order Items"' },
      roles: expect.arrayContaining([expect.objectContaining({ role: 'authenticated', columns: ['id', 'note'] })]),
    });
    expect((await watch('posts')).body).toMatchObject({ schema: 'public', table: 'posts' });
    expect((await watch(encodeURIComponent('"Größe %/x"'))).body).toMatchObject({ table: 'Größe %/x' });
    expect((await rest('GET', '/tables')).body).toHaveLength(3);
    expect((await unwatch(encodeURIComponent('public."Größe %/x"'))).status).toBe(200);
  });

  it('take full, and say what it brings', async () => {
    const { body } = await watch('posts', { full: true });
    expect(body).toMatchObject({ identity: 'full' });
    expect((await watch('posts')).body.identity).toBe('full');
  });

  it('without a key are watched for inserts alone, with a warning that says why', async () => {
    const { status, body } = await watch('keyless');
    expect(status).toBe(200);
    expect(body).toMatchObject({ identity: 'none', identityGap: 'keyless has no primary key' });
    expect(codes(body.warnings)).toEqual(['inserts_only']);
    expect(codes(body.roles[0].warnings)).toContain('no_grant');
  });

  it('without row security say so of every role that may read them', async () => {
    const { body } = await watch(ORDER_ITEMS);
    const authenticated = body.roles.find(({ role }: { role: string }) => role === 'authenticated');
    expect(codes(authenticated.warnings)).toEqual(['row_security_off']);
  });

  it('are let go once, and history of the watching ends with it', async () => {
    await watch('posts', { roles: ['authenticated'] });
    expect(await unwatch('posts')).toMatchObject({ status: 200, body: { message: expect.any(String) } });
    expect([(await rest('GET', '/tables')).body, await policies()]).toEqual([[], []]);
    expect(await unwatch('posts')).toMatchObject({ status: 404, body: { error: 'not_found' } });
  });

  it('that are dropped are listed as missing, and can still be let go', async () => {
    await app.database.query('create table short_lived (id int primary key)');
    await watch('short_lived', { roles: ['anon'] });
    await app.database.query('drop table short_lived');
    const { body } = await rest('GET', '/tables');
    expect(body).toMatchObject([{ table: 'short_lived', identity: 'none', columns: [], roles: [] }]);
    expect(codes(body[0].warnings)).toEqual(['table_missing']);
    expect((await unwatch('short_lived')).status).toBe(200);
    expect(await policies()).toEqual([]);
  });

  it.each([
    ['a table that is not there', 'nothing', undefined, 404, 'not_found', 'nothing does not exist'],
    ['a view', 'looks', undefined, 409, 'conflict', 'is a view'],
    ['a table of Rowcast', 'realtime.channels', undefined, 409, 'conflict', 'belongs to Rowcast'],
    ['a bad name', 'a.b.c', undefined, 400, 'bad_name', ''],
    ['a wildcard', '*', undefined, 400, 'wildcard_not_supported', ''],
    ['U+0000', 'a%00', undefined, 400, 'bad_request', ''],
    ['a name that is too long', 'a'.repeat(250), undefined, 400, 'bad_name', ''],
    ['a role that is not listed', 'posts', { roles: ['postgres'] }, 400, 'bad_request', 'postgres'],
    ['everybody', 'posts', { roles: ['public'] }, 400, 'bad_request', 'public'],
    ['a role that is an admin', 'posts', { roles: ['service_role'] }, 400, 'bad_request', 'ROWCAST_ROLES'],
    ['roles that are no list', 'posts', { roles: 'anon' }, 400, 'bad_request', ''],
    ['full as text', 'posts', { full: 'yes' }, 400, 'bad_request', ''],
    ['an unknown field', 'posts', { fulll: true }, 400, 'bad_request', 'fulll'],
    ['a list as body', 'posts', [], 400, 'bad_request', ''],
  ])('cannot be watched: %s', async (_, table, body, status, error, message) => {
    const written = 'select pattern from realtime.channels union all select polname from pg_policy order by 1';
    const before = await app.database.query(written);
    expect(await watch(table, body)).toMatchObject({
      status,
      body: { error, message: expect.stringContaining(message), statusCode: status },
    });
    expect(await app.database.query(written)).toEqual(before);
  });

  it('refuse full where it would break the writes of the app', async () => {
    if (postgres.version < 18) return;
    await app.database.query('create publication others for table roomy');
    expect(await watch('roomy', { full: true })).toMatchObject({
      status: 409,
      body: { error: 'conflict', message: expect.stringContaining('watch the table without full') },
    });
    await app.database.query('drop publication others');
  });

  it('are for admins only', async () => {
    const token = app.token('authenticated');
    for (const [method, path] of [
      ['GET', '/tables'],
      ['POST', '/tables/posts/watch'],
      ['DELETE', '/tables/posts/watch'],
    ] as const) {
      expect(await ask(app, method, path, { token })).toMatchObject({ status: 403, body: { error: 'forbidden' } });
      expect(await ask(app, method, path, { token: null })).toMatchObject({ status: 401 });
    }
  });

  describe('watched for roles', () => {
    const mine = async (role: string): Promise<string> => {
      const client = await app.client(app.token(role));
      const outcome = await client.subscribe('db:posts').then(
        () => 'subscribed',
        (error: Error) => error.message.split(':')[0] as string,
      );
      await client.close();
      return outcome;
    };

    it('let these subscribe to this table, and nobody else, and to nothing else', async () => {
      await app.database.query(`insert into realtime.channels (pattern) values ('order:*')`);
      await watch('keyless');
      const { body } = await watch('posts', { roles: ['authenticated'] });
      expect(body.roles.map(({ role, opened }: { role: string; opened: boolean }) => [role, opened])).toEqual([
        ['anon', false],
        ['authenticated', true],
      ]);
      await until(async () => (await mine('authenticated')) === 'subscribed', { what: 'the policy to let it in' });
      expect(await mine('anon')).toBe('channel_unavailable');
      const client = await app.client(app.token('authenticated'));
      await expect(client.subscribe('order:1')).rejects.toThrow('channel_unavailable');
      await expect(client.subscribe('db:keyless')).rejects.toThrow('channel_unavailable');
      await client.close();
    });

    it('get rows as the policies of the table say', async () => {
      await watch('posts', { roles: ['authenticated'], full: true });
      const client = await app.client(app.token('authenticated'));
      await until(() => client.subscribe('db:posts'), { what: 'the policy to let it in' });
      await app.database.query(`insert into posts values (1, 'hers'), (2, 'mine')`);
      expect((await client.received(1))[0]?.payload.new).toEqual({ id: 2, title: 'mine' });
      await app.database.query('delete from posts');
      await client.close();
    });

    it('stay as they are when roles are left out, follow a new list, and end with an empty one', async () => {
      const opened = async (body?: object): Promise<string[]> =>
        (await watch('posts', body)).body.roles.flatMap(({ role, opened }: { role: string; opened: boolean }) =>
          opened ? [role] : [],
        );
      expect(await opened({ roles: ['authenticated', 'authenticated'] })).toEqual(['authenticated']);
      expect(await opened({ full: true })).toEqual(['authenticated']);
      expect(await opened({ roles: ['anon', 'authenticated'] })).toEqual(['anon', 'authenticated']);
      expect(await opened({ roles: ['anon'] })).toEqual(['anon']);
      expect(await opened({ roles: [] })).toEqual([]);
      expect(await policies()).toEqual([]);
    });

    it('have a policy for every table, however long its name is', async () => {
      const long = 'ä'.repeat(30);
      await app.database.query(`create table "${long}" (id int primary key)`);
      const path = encodeURIComponent(`"${long}"`);
      expect((await watch(path, { roles: ['anon'] })).body).toMatchObject({ table: long });
      expect(await policies()).toEqual([expect.stringMatching(/^rowcast_watch_[0-9a-f]{32}$/)]);
      expect((await unwatch(path)).status).toBe(200);
      expect(await policies()).toEqual([]);
    });

    it('alter nothing when nothing differs', async () => {
      await watch('posts', { roles: ['authenticated'] });
      const xmin = `select xmin::text from pg_policy where polname = 'rowcast_watch_posts'`;
      const first = await app.database.query(xmin);
      await watch('posts', { roles: ['authenticated'] });
      expect(await app.database.query(xmin)).toEqual(first);
    });

    it('open nothing any more once the table was let go in SQL, also when it is watched again', async () => {
      await watch('posts', { roles: ['authenticated'] });
      await app.database.query(`select realtime.unwatch('posts')`);
      await app.database.query(`select realtime.watch('posts')`);
      const { body } = await rest('GET', '/tables');
      expect(body[0].roles.map(({ opened }: { opened: boolean }) => opened)).toEqual([false, false]);
      await expect(mine('authenticated')).resolves.toBe('channel_unavailable');
      await watch('posts', { roles: ['authenticated'] });
      await until(async () => (await mine('authenticated')) === 'subscribed', { what: 'the policy to let it in' });
    });

    it('end within a second when the table is let go', async () => {
      await watch('posts', { roles: ['authenticated'] });
      const client = await app.client(app.token('authenticated'));
      await until(() => client.subscribe('db:posts'), { what: 'the policy to let it in' });
      await unwatch('posts');
      expect(await client.next('unsubscribed')).toMatchObject({ channel: 'db:posts', reason: expect.any(String) });
      await client.close();
    });

    it('are many at once, and none is lost', async () => {
      const answers = await Promise.all([
        ...Array.from({ length: 6 }, () => watch('posts', { roles: ['authenticated'] })),
        ...Array.from({ length: 4 }, () => watch('keyless', { roles: ['anon'] })),
      ]);
      expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200));
      expect(await policies()).toEqual(['rowcast_watch_keyless', 'rowcast_watch_posts']);
    });

    it('wait for a lock on the channels no longer than a second, and say so', async () => {
      const other = await app.database.connect();
      await other.query('begin; select from realtime.channels');
      expect(await watch('posts', { roles: ['authenticated'] })).toMatchObject({
        status: 503,
        body: { error: 'unavailable' },
      });
      await other.query('rollback');
      await other.end();
      expect(await app.database.query('select from realtime.channels')).toEqual([]);
    });
  });
});

describeNewestPostgres('a login that may not watch', (postgres: TestPostgres) => {
  it('answers with the statement to run, over both routes', async () => {
    await withPlainApp(postgres, async (app) => {
      const statement = `select realtime.watch('public.theirs')`;
      const viaTable = await ask(app, 'POST', '/tables/theirs/watch');
      const viaChannel = await ask(app, 'POST', '/channels', { body: { pattern: 'db:theirs' } });
      for (const answer of [viaTable, viaChannel])
        expect(answer).toMatchObject({
          status: 409,
          body: { error: 'conflict', message: expect.stringContaining(statement) },
        });
      expect(await ask(app, 'POST', '/tables/mine/watch', { body: { roles: ['authenticated'] } })).toMatchObject({
        status: 200,
        body: { table: 'mine' },
      });
    });
  });
});
