// Who may publish is what the INSERT policies of realtime.messages say, for the role and claims of each token; and
// whoever may not learns nothing of which channels there are.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeDrawnPostgres } from '../rig/postgres.ts';
import { withPlainApp } from './plain-app.ts';
import { messageText, type Publish, publishBody, publishFrame, WAYS } from './publishing.ts';
import { startTestApp, type TestApp } from './test-app.ts';

const ID = '660e8400-e29b-41d4-a716-446655440000';

describeDrawnPostgres('the policies', (postgres) => {
  let app: TestApp;
  beforeAll(async () => {
    app = await startTestApp(postgres, {
      // One connection for all users: nothing of one may be left for the next.
      env: { ROWCAST_PUBLISH_POOL_SIZE: '1' },
      sql: `insert into realtime.channels (pattern, persist) values ('*', true), ('typing:*', false);
        create function my_sub() returns text language sql immutable
          as $$ select current_setting('request.jwt.claims', true)::jsonb ->> 'sub' $$;
        create policy own on realtime.messages for insert to authenticated with check (
          case split_part(channel_name, ':', 1)
            when 'own' then channel_name = 'own:' || (auth.jwt() ->> 'sub')
            when 'fixed' then channel_name = 'fixed:' || my_sub()
            when 'paid' then (payload ->> 'amount')::numeric > 0
            when 'event' then event_name = 'made'
            when 'asked' then realtime.channel_name() = channel_name
            when 'sent' then sender_id = auth.jwt() ->> 'sub' and sender_type = 'user' and connection_id is null
            when 'typing' then payload ->> 'who' = auth.jwt() ->> 'sub'
            when 'org' then auth.jwt() -> 'orgs' ? split_part(channel_name, ':', 2)
            else false end);
        create policy visitors on realtime.messages for insert to anon with check (channel_name = 'guestbook');
        create policy not_banned on realtime.messages as restrictive for insert to public
          with check (coalesce(auth.jwt() ->> 'banned', 'no') <> 'yes')`,
    });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const as = (sub: string, more: object = {}): string => app.token('authenticated', { sub, ...more });

  describe.each(WAYS)('judge by %s', (way, open) => {
    const outcome = async (publish: Publish, ...given: Parameters<Publish>): Promise<string | undefined> => {
      const { messageId, code } = await publish(...given);
      return messageId === undefined ? code : 'published';
    };

    it.each([
      ['the claims', 'own:alice', '1', 'own:bob', '1'],
      ['the payload', 'paid:1', '{"amount": 1e1}', 'paid:1', '{"amount": 0}'],
      ['a payload on which they raise', 'paid:1', '{"amount": "0.5"}', 'paid:1', '{"amount": "much"}'],
      ['a list in the claims', 'org:acme', '1', 'org:other', '1'],
      ['what is not persisted', 'typing:1', '{"who": "alice"}', 'typing:1', '{"who": "bob"}'],
      ['the name by the function', 'asked:1', '1', 'nobody:1', '1'],
    ])('%s', async (_, channel, payload, forbidden, other) => {
      const publish = await open(app, as('alice', { orgs: ['acme'] }));
      expect(await outcome(publish, { channel, payload })).toBe('published');
      expect(await outcome(publish, { channel: forbidden, payload: other })).toBe('publish_denied');
    });

    it('the event', async () => {
      const publish = await open(app, as('alice'));
      expect(await outcome(publish, { channel: 'event:1', event: 'made' })).toBe('published');
      expect(await outcome(publish, { channel: 'event:1', event: 'lost' })).toBe('publish_denied');
    });

    it('the role', async () => {
      const [visitor, user] = [await open(app, app.token('anon')), await open(app, as('alice'))];
      expect(await outcome(visitor, { channel: 'guestbook' })).toBe('published');
      expect(await outcome(user, { channel: 'guestbook' })).toBe('publish_denied');
      expect(await outcome(visitor, { channel: 'own:alice' })).toBe('publish_denied');
    });

    it('restrictively', async () => {
      const publish = await open(app, as('alice', { banned: 'yes' }));
      expect(await outcome(publish, { channel: 'own:alice' })).toBe('publish_denied');
    });

    it('each message by its own claims, though a function that reads them says that it is immutable', async () => {
      const [alice, bob] = [await open(app, as('alice')), await open(app, as('bob'))];
      for (let round = 0; round < 12; round += 1) {
        expect(await outcome(alice, { channel: 'fixed:alice' })).toBe('published');
        expect(await outcome(bob, { channel: 'fixed:alice' })).toBe('publish_denied');
        expect(await outcome(bob, { channel: 'fixed:bob' })).toBe('published');
        expect(await outcome(alice, { channel: 'fixed:bob' })).toBe('publish_denied');
      }
    });

    it('not an admin', async () => {
      const admin = await open(app, app.adminToken());
      expect(await outcome(admin, { channel: 'nobody:1' })).toBe('published');
    });

    it('what the trigger has settled', async () => {
      const publish = await open(app, as('alice'));
      // The socket's id is in the row: this policy wants none.
      expect(await outcome(publish, { channel: 'sent:1' })).toBe(way === 'a request' ? 'published' : 'publish_denied');
    });
  });

  it('that raise are told to the log, once a while', async () => {
    const lines = app.logLines.filter(({ message }) => message.startsWith('a policy or trigger raised'));
    expect(lines).toMatchObject([{ fields: { role: 'authenticated', sqlstate: '22P02' } }]);
  });

  it('are asked anew after a renewed token, on the same socket', async () => {
    const client = await app.client(as('alice'));
    expect((await publishFrame(client, { channel: 'org:acme' })).type).toBe('error');
    client.send({ type: 'auth', token: as('alice', { orgs: ['acme'] }) });
    expect((await publishFrame(client, { channel: 'org:acme' })).type).toBe('published');
  });

  it('that change decide about the next message', async () => {
    const publish = await WAYS[1][1](app, as('alice'));
    expect((await publish({ channel: 'late:1' })).code).toBe('publish_denied');
    await app.database.query(
      `create policy late on realtime.messages for insert to authenticated with check (channel_name like 'late:%')`,
    );
    expect((await publish({ channel: 'late:1' })).messageId).toBeDefined();
    await app.database.query('drop policy late on realtime.messages');
    expect((await publish({ channel: 'late:1' })).code).toBe('publish_denied');
  });
});

describeDrawnPostgres('the policies on a main login without rights', (postgres) => {
  it('judge users, and admins publish as the owner', async () => {
    await withPlainApp(postgres, async (app, { user }) => {
      await app.database.query(`
        grant authenticated to ${user};
        insert into realtime.channels (pattern, persist) values ('a', true), ('typing', false);
        create policy own on realtime.messages for insert to authenticated
          with check (channel_name in ('a', 'typing') and auth.jwt() ->> 'sub' = 'alice')`);
      for (const channel of ['a', 'typing']) {
        const given = messageText({ channel });
        const asked = [app.token('authenticated', { sub: 'alice' }), app.token('authenticated'), app.adminToken()];
        const statuses = [];
        for (const token of asked) statuses.push((await publishBody(app, token, given)).status);
        expect(statuses).toEqual([200, 403, 200]);
      }
    });
  });
});

describeDrawnPostgres('a publisher who is denied', (postgres) => {
  let app: TestApp;
  const channels = ['x:unknown', 'x:disabled', 'x:there', 'x:typing', 'y:unknown', 'y:disabled', 'z:there', 'z:typing'];
  beforeAll(async () => {
    app = await startTestApp(postgres, {
      sql: `insert into realtime.channels (pattern, enabled, persist) values
          ('x:disabled', false, null), ('x:there', true, null), ('x:typing', true, false), ('y:disabled', false, null),
          ('z:there', true, null), ('z:typing', true, false), ('mine', true, null);
        -- The names of y and z are allowed, but there is no such channel, or a policy that is asked last raises.
        create policy names on realtime.messages for insert to anon, authenticated
          with check (channel_name like 'y:%' or channel_name like 'z:%' or channel_name = 'mine');
        create policy zzz_last on realtime.messages as restrictive for insert to public
          with check (case when channel_name like 'z:%' then ('not ' || channel_name)::int = 1 else true end)`,
    });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const whole = (payload: string) => payload;
  const asked = [
    ['a small payload', whole('{"a": 1}'), undefined],
    ['an id', whole('1'), ID],
    ['a payload that is too large', `"${'x'.repeat(300_000)}"`, undefined],
    ['numbers that are too long', `[${'1e131071,'.repeat(9)}1]`, undefined],
    ['a payload that jsonb cannot hold', '"\\u0000"', undefined],
    ['a bad id', '1', 'no uuid at all'],
  ] as const;
  const who = ['anon', 'authenticated'] as const;

  it.each(who.flatMap((role) => asked.map((each) => [role, ...each] as const)))(
    'as %s with %s gets the same answer for every channel',
    async (role, _, payload, id) => {
      const token = app.token(role, { sub: 'mallory' });
      const more = id === undefined ? { payload } : { payload, id };
      const singles = new Set<string>();
      const lists = new Set<string>();
      for (const channel of channels) {
        const single = await publishBody(app, token, messageText({ channel, ...more }));
        singles.add(JSON.stringify([single.status, single.body, ...shown(single.headers)]));
        const list = [messageText({ channel: 'mine' }), messageText({ channel, ...more })];
        const listed = await publishBody(app, token, `[${list.join(',')}]`);
        lists.add(JSON.stringify([listed.status, listed.body, ...shown(listed.headers)]));
      }
      expect([...singles]).toHaveLength(1);
      expect([...lists]).toHaveLength(1);
    },
  );

  it.each(who)('as %s over a socket gets the same frame for every channel', async (role) => {
    const client = await app.client(app.token(role, { sub: 'mallory' }));
    for (const id of [undefined, ID]) {
      const frames = new Set<string>();
      for (const channel of channels) {
        const { ref: _, channel: echoed, ...frame } = await publishFrame(client, id ? { channel, id } : { channel });
        expect(echoed).toBe(channel);
        frames.add(JSON.stringify(frame));
      }
      expect([...frames]).toHaveLength(1);
    }
  });

  it('leaves nothing behind', async () => {
    expect(await app.database.query('select id from realtime.messages')).toEqual([]);
    expect(await app.database.query('select message_id from realtime.message_ids')).toEqual([]);
  });
});

function shown(headers: Headers): readonly (string | null)[] {
  return ['retry-after', 'x-ratelimit-limit', 'www-authenticate', 'content-type'].map((name) => headers.get(name));
}
