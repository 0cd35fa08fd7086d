// Publishing by a frame and by a request: what is written, what is refused and how, ids, lists, and what is judged
// but not written.

import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { describeDrawnPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { messageText, type Publish, publishBody, publishFrame, WAYS } from './publishing.ts';
import { startTestApp, type TestApp } from './test-app.ts';
import type { Frame } from './test-client.ts';

const SETUP = `
  insert into realtime.channels (pattern, enabled, persist) values
    ('open:*', true, null), ('off:*', false, null), ('typing:*', true, false), ('shut:*', true, null), ('slow:*', true, null);
  create function dawdle() returns boolean language sql volatile as 'select pg_sleep(5) is not null';
  create policy everybody on realtime.messages for insert to anon, authenticated with check (
    case when channel_name like 'slow:%' then dawdle() else channel_name !~ '^shut:' end)`;
const ID = '660E8400-e29b-41d4-a716-446655440000';
const DENIED = 'Channel not found or not accessible';

type Row = Readonly<Record<string, unknown>>;

describeDrawnPostgres('publishing', (postgres) => {
  let app: TestApp;
  const alice = (): string => app.token('authenticated', { sub: 'alice' });

  beforeAll(async () => {
    app = await startTestApp(postgres, {
      sql: SETUP,
      env: { ROWCAST_MAX_MESSAGE: '16KiB', ROWCAST_POLICY_TIMEOUT: '1s', ROWCAST_ALLOW_ANON: 'true' },
    });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const rowsOn = (channel: string): Promise<Row[]> =>
    app.database.query(
      `select id, channel_name, event_name, payload::text as payload, sender_type, sender_id, connection_id
       from realtime.messages where channel_name = $1 order by created_at, id`,
      [channel],
    );

  describe.each(WAYS)('by %s', (way, open) => {
    const isRest = way === 'a request';
    const named = (name: string): string => `${name}:${isRest ? 'rest' : 'socket'}`;
    let publish: Publish;
    beforeAll(async () => {
      publish = await open(app, alice());
    });

    const refused = async (given: Parameters<Publish>[0]): Promise<unknown> => {
      const { messageId, code, status } = await publish(given);
      return messageId ?? (isRest ? `${status} ${code}` : code);
    };

    it('writes the message as its sender, and answers with its id', async () => {
      const channel = named('open');
      const { messageId } = await publish({ channel, event: 'order.updated', payload: '{"a": 1.50}' });
      expect(await rowsOn(channel)).toEqual([
        {
          id: messageId,
          channel_name: channel,
          event_name: 'order.updated',
          payload: '{"a": 1.50}',
          sender_type: 'user',
          sender_id: 'alice',
          connection_id: isRest ? null : expect.stringMatching(/^[0-9a-f-]{36}$/),
        },
      ]);
    });

    it.each([
      ['unknown', 'nowhere:1'],
      ['disabled', 'off:1'],
      ['forbidden', 'shut:1'],
    ])('refuses a channel that is %s, and says no more', async (_, channel) => {
      expect(await publish({ channel })).toEqual({
        code: 'publish_denied',
        message: DENIED,
        ...(isRest ? { status: 403 } : {}),
      });
    });

    it.each([
      ['nowhere:1', 'no channel matches nowhere:1'],
      ['off:1', 'channel off:* is disabled'],
    ])('tells an admin why %s is refused', async (channel, reason) => {
      if (isRest) {
        const { body } = await publishBody(app, app.adminToken(), messageText({ channel }));
        expect(body).toEqual({ error: 'publish_denied', message: `${DENIED}: ${reason}`, statusCode: 403 });
      } else {
        const frame = await publishFrame(await app.client(), { channel });
        expect(frame).toMatchObject({ code: 'publish_denied', message: DENIED, detail: reason, channel });
      }
    });

    it.each([
      ['db:posts', 'made'],
      ['DB:x', 'made'],
      ['db:*', 'made'],
      ['presence:1', 'made'],
      ['realtime:1', 'made'],
      ['System', 'made'],
      ['open:1', 'presence:join'],
      ['open:1', 'Pusher:x'],
      ['open:1', 'pusher_internal:x'],
      ['open:1', 'phx_join'],
      ['open:1', 'error'],
      ['nowhere:1', 'system'],
    ])('refuses what is reserved: %s, %s', async (channel, event) => {
      expect(await refused({ channel, event })).toBe(isRest ? '400 reserved_name' : 'reserved_name');
    });

    it.each([
      ['bad_name', '', 'made'],
      ['bad_name', 'open: 1', 'made'],
      ['bad_name', 'o'.repeat(201), 'made'],
      ['bad_name', 'open:\ud800', 'made'],
      ['bad_name', 'open:1', 'a\0b'],
      ['bad_name', 'open:1', 'half \udc00'],
      ['wildcard_not_supported', 'open:*', 'made'],
      ['wildcard_not_supported', 'open:%', 'made'],
    ])('refuses as %s the names %j, %j', async (code, channel, event) => {
      expect(await refused({ channel, event })).toBe(isRest ? `400 ${code}` : code);
    });

    const malformed = isRest ? '400 bad_request' : 'bad_frame';

    it.each(['', 'e'.repeat(201), '😀'.repeat(201)])('refuses an event of that length: %j', async (event) => {
      expect(await refused({ channel: 'open:1', event })).toBe(malformed);
    });

    it('takes the longest names, counted in characters', async () => {
      const channel = `open:${'ü'.repeat(195)}`;
      const event = '😀'.repeat(200);
      const { messageId } = await publish({ channel, event });
      const [last] = (await rowsOn(channel)).filter(({ id }) => id === messageId);
      expect(last).toMatchObject({ event_name: event });
    });

    it.each([
      ['above the bound', `"${'x'.repeat(16 * 1024 - 1)}"`],
      ['above the bound as jsonb prints it', `[${Array.from({ length: 6_000 }, () => 1).join(',')}]`],
      ['of numbers that are long when printed', `[${Array.from({ length: 1_000 }, () => '1e99').join(',')}]`],
    ])('refuses a payload %s', async (_, payload) => {
      const answer = await publish({ channel: 'open:1', payload });
      expect(answer).toMatchObject({
        code: 'payload_too_large',
        message: 'A payload has at most 16384 bytes',
        ...(isRest ? { status: 413 } : {}),
      });
    });

    it('takes a payload at the bound', async () => {
      const { messageId } = await publish({ channel: 'open:1', payload: `"${'x'.repeat(16 * 1024 - 2)}"` });
      expect(messageId).toBeDefined();
    });

    it.each([
      ['U+0000', '"a\\u0000b"'],
      ['U+0000 in a name', '{"\\u0000": 1}'],
      ['half a surrogate pair', '["\\ud83d"]'],
      ['a number with too many digits', '1e131072'],
      ['more than 512 levels', `${'['.repeat(513)}${']'.repeat(513)}`],
    ])('refuses a payload with %s, which jsonb cannot hold', async (what, payload) => {
      const { code, message } = await publish({ channel: 'nowhere:1', payload });
      expect(code).toBe(isRest ? 'bad_request' : 'bad_frame');
      expect(message).toContain(what.replace(' in a name', ''));
    });

    it('refuses an id that is none', async () => {
      for (const id of ['', '1', `{${ID}}`, `${ID}0`]) {
        expect(await refused({ channel: 'open:1', id })).toBe(malformed);
      }
    });

    it('writes once what comes again with its id, and gives the same messageId', async () => {
      const channel = named('open:again');
      const given = { channel, payload: '{"n": 1.0}', id: ID };
      const first = await publish(given);
      const again = await publish({ ...given, payload: '{ "n":1.0 }', id: ID.toLowerCase() });
      expect(again).toEqual(first);
      expect(await rowsOn(channel)).toHaveLength(1);
      expect((await publish({ ...given, channel: `${channel}:2` })).messageId).not.toBe(first.messageId);
    });

    it('refuses an id that stood for something else', async () => {
      const channel = named('open:reused');
      await publish({ channel, id: ID });
      for (const other of [{ payload: '2' }, { event: 'other' }]) {
        expect(await refused({ channel, id: ID, ...other })).toBe(isRest ? '409 id_reused' : 'id_reused');
      }
      const { length } = await rowsOn(channel);
      expect(length).toBe(1);
    });

    it('keeps the ids of senders apart', async () => {
      const channel = named('open:theirs');
      const bob = await open(app, app.token('authenticated', { sub: 'bob' }));
      const [hers, his] = [await publish({ channel, id: ID }), await bob({ channel, id: ID, payload: '2' })];
      expect(his.messageId).toBeDefined();
      expect(his.messageId).not.toBe(hers.messageId);
    });

    it('refuses an id of anon, and of an admin without a sub', async () => {
      const anon = await open(app, app.token('anon', { sub: 'alice' }));
      expect((await anon({ channel: 'open:1', id: ID })).code).toBe(isRest ? 'bad_request' : 'bad_frame');
      expect((await anon({ channel: 'open:1' })).messageId).toBeDefined();
    });

    it('judges what is not persisted, hands it on, and writes nothing', async () => {
      const channel = named('typing');
      const reader = await app.client();
      await reader.subscribe(channel);
      const { messageId } = await publish({ channel, event: 'typing', payload: '{"n": 1e2, "at": 1.50}' });
      const [frame] = (await reader.received(1)) as readonly Frame[];
      expect(frame).toEqual({
        type: 'message',
        channel,
        event: 'typing',
        payload: { n: 100, at: 1.5 },
        messageId,
        senderId: 'alice',
        timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z$/),
      });
      expect(await rowsOn(channel)).toEqual([]);
    });

    it('leaves no trace of it in the table, not even a dead row', async () => {
      // Where the journal has put it: each message takes two lines, its own and that of its place in history.
      const placeOf = async (): Promise<number[]> => {
        const { messageId } = await publish({ channel: 'open:1' });
        const journaled = 'select ctid::text as place from realtime.messages where id = $1 and position is not null';
        const row = await until(async () => (await app.database.query(journaled, [messageId]))[0]);
        return JSON.parse(String(row.place).replace('(', '[').replace(')', ']')) as number[];
      };
      const [page = 0, line = 0] = await placeOf();
      for (let n = 0; n < 20; n += 1) await publish({ channel: named('typing') });
      expect([
        [page, line + 2],
        [page + 1, 1],
        [page + 1, 2],
      ]).toContainEqual(await placeOf());
    });

    it('refuses an id where nothing is persisted', async () => {
      expect(await refused({ channel: 'typing:1', id: ID })).toBe(malformed);
    });

    it('is unavailable while a policy does not answer in time', async () => {
      expect(await refused({ channel: 'slow:1' })).toBe(isRest ? '503 unavailable' : 'unavailable');
    });
  });

  it('by a frame is answered as printed, ref behind it', async () => {
    const client = await app.client(alice());
    const frame = await publishFrame(client, { channel: 'open:1', event: 'order.updated' });
    expect(Object.keys(frame)).toEqual(['type', 'messageId', 'channel', 'event', 'ref']);
    expect(frame).toMatchObject({ type: 'published', channel: 'open:1', event: 'order.updated' });
  });

  it('by frames of one socket happens in their order', async () => {
    const client = await app.client(alice());
    const reader = await app.client();
    await reader.subscribe('open:order');
    await reader.subscribe('typing:order');
    for (let n = 0; n < 60; n += 1) {
      client.send({ type: 'publish', channel: n % 2 ? 'typing:order' : 'open:order', event: 'n', payload: n, ref: n });
    }
    const messages = await reader.received(60);
    const answered = (): unknown[] => client.frames.filter(({ type }) => type === 'published').map(({ ref }) => ref);
    // A message may be there before the answer to whoever published it.
    await until(() => answered().length === 60, { what: 'every answer' });
    const refs = answered();
    expect(refs).toEqual(Array.from({ length: 60 }, (_, n) => n));
    for (const half of ['open:order', 'typing:order']) {
      const seen = messages.filter(({ channel }) => channel === half).map(({ payload }) => payload);
      expect(seen).toEqual(refs.filter((n) => Number(n) % 2 === (half === 'open:order' ? 0 : 1)));
    }
  });

  it('by a socket without a token is that of anon', async () => {
    const socket = new WebSocket(app.url);
    await new Promise((resolve) => socket.addEventListener('open', resolve));
    const replied = new Promise((resolve) => socket.addEventListener('message', resolve));
    socket.send(JSON.stringify({ type: 'publish', channel: 'open:nobody', event: 'made', payload: 1 }));
    await replied;
    expect(await rowsOn('open:nobody')).toMatchObject([{ sender_type: 'user', sender_id: null }]);
    socket.close();
    await new Promise((resolve) => socket.addEventListener('close', resolve));
  });

  describe('a list', () => {
    const list = (...given: readonly Parameters<typeof messageText>[0][]) =>
      publishBody(app, alice(), `[${given.map(messageText).join(', ')}]`);

    it('is written in one transaction, and answered in its order', async () => {
      const { status, body } = await list(
        { channel: 'open:list', payload: '1' },
        { channel: 'open:list', payload: '2' },
      );
      const rows = await app.database.query(
        `select id, created_at::text as transaction_at from realtime.messages where channel_name = 'open:list' order by payload`,
      );
      expect([status, body]).toEqual([200, rows.map(({ id }) => ({ messageId: id }))]);
      expect(new Set(rows.map(({ transaction_at }) => transaction_at)).size).toBe(1);
    });

    it('of one is answered as a list', async () => {
      expect((await list({ channel: 'open:1' })).body).toEqual([{ messageId: expect.any(String) }]);
    });

    it('of a hundred is taken, and one more is not', async () => {
      const given = Array.from({ length: 101 }, () => ({ channel: 'open:many' }));
      expect((await list(...given.slice(1))).status).toBe(200);
      expect(await list(...given)).toMatchObject({ status: 400, body: { message: 'a list has 1 to 100 messages' } });
      expect(await list()).toMatchObject({ status: 400, body: { error: 'bad_request' } });
      expect(await rowsOn('open:many')).toHaveLength(100);
    });

    it.each([
      ['is forbidden', { channel: 'shut:1' }, 403, DENIED],
      ['is reserved', { channel: 'db:x' }, 400, 'This channel name is reserved'],
      [
        'is too large',
        { channel: 'open:1', payload: `"${'x'.repeat(20_000)}"` },
        413,
        'A payload has at most 16384 bytes',
      ],
      ['cannot be held', { channel: 'open:1', payload: '"\\u0000"' }, 400, 'The payload holds U+0000'],
      ['reuses an id', { channel: 'open:reuse', id: ID, payload: '2' }, 409, 'This id was used for another message'],
      ['has an id where nothing is kept', { channel: 'typing:1', id: ID }, 400, 'id cannot be chosen on a channel'],
    ])('of which one %s is refused as a whole, and says which', async (_, bad, status, message) => {
      await list({ channel: 'open:reuse', id: ID });
      const reader = await app.client();
      await reader.subscribe('typing:list');
      const good = [{ channel: 'open:whole' }, { channel: 'typing:list' }];
      const refused = await list(...good, bad, ...good);
      expect(refused.status).toBe(status);
      expect((refused.body as { message: string }).message).toContain(`message 3 of 5: ${message}`);
      expect(await rowsOn('open:whole')).toEqual([]);
      // What is handed on after it is the first that arrives.
      await list({ channel: 'typing:list', event: 'later' });
      expect((await reader.received(1))[0]).toMatchObject({ event: 'later' });
    });

    it('hands on what is not persisted, in order', async () => {
      const reader = await app.client();
      await reader.subscribe('typing:three');
      await list(...['1', '2', '3'].map((payload) => ({ channel: 'typing:three', payload })));
      expect((await reader.received(3)).map(({ payload }) => payload)).toEqual([1, 2, 3]);
    });

    it('repeated with the same ids is the same list', async () => {
      const given = [
        { channel: 'open:twice', id: randomUUID() },
        { channel: 'open:twice', id: randomUUID() },
      ];
      const [first, second] = [await list(...given), await list(...given)];
      expect(second.body).toEqual(first.body);
      expect(await rowsOn('open:twice')).toHaveLength(2);
    });
  });

  describe('a request', () => {
    const ask = async (
      body: string | Buffer<ArrayBuffer>,
      token: string | undefined = alice(),
    ): Promise<readonly unknown[]> => {
      const response = await publishBody(app, token, body);
      const { error, message } = response.body as Readonly<Record<string, unknown>>;
      return [response.status, error, message];
    };
    const good = messageText({ channel: 'open:1' });

    it.each([
      ['no JSON', '{', 'body is not valid JSON in UTF-8'],
      ['nothing', '', 'body is not valid JSON in UTF-8'],
      ['no object', '7', 'a message must be object'],
      ['null', 'null', 'a message must be object'],
      ['a list in a list', `[[${good}]]`, 'message 1 of 1: a message must be object'],
      ['no payload', '{"channel":"open:1","event":"e"}', 'a message must have required properties payload'],
      ['a number for a channel', '{"channel":1,"event":"e","payload":1}', 'channel must be string'],
      ['an unknown field', `${good.slice(0, -1)},"chanel":"x"}`, 'unknown field "chanel"'],
      ['__proto__ beside its fields', `${good.slice(0, -1)},"__proto__":{"id":"x"}}`, 'unknown field "__proto__"'],
      ['a fault in the second', `[${good},{"channel":"x"}]`, 'message 2 of 2: a message must have'],
    ])('that holds %s is refused', async (_, body, message) => {
      const [status, error, said] = await ask(body);
      expect([status, error]).toEqual([400, 'bad_request']);
      expect(said).toContain(message);
    });

    it('that is not UTF-8 is refused', async () => {
      expect((await ask(Buffer.from([...Buffer.from('{"channel":"'), 0xff, 0xfe])))[0]).toBe(400);
    });

    it('of another content type is refused', async () => {
      const response = await fetch(`http://127.0.0.1:${app.app().port}/api/realtime/publish`, {
        method: 'POST',
        headers: { authorization: `Bearer ${alice()}`, 'content-type': 'text/plain' },
        body: good,
      });
      expect(response.status).toBe(415);
    });

    it('is refused before it is read where nobody is known', async () => {
      expect(await ask('{', '')).toEqual([401, 'bad_token', 'Invalid token']);
      const response = await publishBody(app, undefined, '{');
      expect(response).toMatchObject({ status: 401, body: { error: 'auth_required' } });
    });

    it('stands in the OpenAPI document', async () => {
      const document = await (await fetch(`http://127.0.0.1:${app.app().port}/openapi.json`)).json();
      const { post } = document.paths['/api/realtime/publish'];
      expect(Object.keys(post.responses)).toEqual(['200', '400', '401', '403', '409', '413', '415', '429', '503']);
      expect(post.requestBody.content['application/json'].schema.anyOf).toHaveLength(2);
    });
  });

  it('is counted by way and outcome', async () => {
    const text = await (await fetch(`http://127.0.0.1:${app.app().port}/metrics`)).text();
    for (const via of ['socket', 'rest']) {
      for (const outcome of ['published', 'publish_denied', 'id_reused', 'unavailable']) {
        expect(text).toMatch(new RegExp(`rowcast_published_total\\{via="${via}",outcome="${outcome}"\\} [1-9]`));
      }
    }
  });
});
