// Owns publishing as the gateway has it, without a database: rates, order, and what happens between a frame and
// its reply.

import { describe, expect, it } from 'vitest';
import type { MessagePublisher } from '../../server/gateway/publish-intake.ts';
import { until } from '../rig/until.ts';
import { type OpenGateway, openGateway, token } from './open-gateway.ts';

const FRAME = { type: 'publish', channel: 'order:1', event: 'made', payload: 1 };
const user = (sub: string): string => token({ role: 'authenticated', sub });

async function request(server: OpenGateway, bearer: string, body: unknown = { ...FRAME, type: undefined }) {
  const response = await fetch(`${server.http}/api/realtime/publish`, {
    method: 'POST',
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as { error?: string } };
}

/** A publisher that answers when it is told to. */
function patientPublisher() {
  const calls: { channels: string[]; answer: () => void }[] = [];
  const publisher: MessagePublisher = {
    publish: (_identity, _connectionId, requests) =>
      new Promise((resolve) => {
        const published = requests.map(() => ({ messageId: 'm', isEphemeral: false }));
        const channels = requests.map(({ channel }) => channel);
        calls.push({ channels, answer: () => resolve({ ok: true, published }) });
      }),
  };
  return { calls, publisher };
}

describe('a publish frame', () => {
  it('holds up what stands behind it on its socket, and nothing else', async () => {
    const { calls, publisher } = patientPublisher();
    await using server = await openGateway({ publisher });
    const [socket, other] = [await server.login(), await server.login()];
    socket.send({ ...FRAME, ref: 1 });
    socket.send({ ...FRAME, channel: 'order:2', ref: 2 });
    socket.send({ type: 'ping', ref: 3 });
    await until(() => calls.length === 1);
    expect(await other.ask({ type: 'ping' })).toEqual({ type: 'pong' });
    expect(calls.length).toBe(1);
    calls[0]?.answer();
    expect(await socket.next()).toMatchObject({ type: 'published', channel: 'order:1', ref: 1 });
    await until(() => calls.length === 2);
    calls[1]?.answer();
    expect(await socket.next()).toMatchObject({ type: 'published', channel: 'order:2', ref: 2 });
    expect(await socket.next()).toEqual({ type: 'pong', ref: 3 });
  });

  it('whose socket has gone meanwhile is answered to nobody', async () => {
    const { calls, publisher } = patientPublisher();
    await using server = await openGateway({ publisher });
    const socket = await server.login();
    socket.send(FRAME);
    await until(() => calls.length === 1);
    socket.terminate();
    await until(() => server.hub.connectionCount === 0);
    calls[0]?.answer();
    const other = await server.login();
    expect(await other.ask({ type: 'ping' })).toEqual({ type: 'pong' });
    expect(server.log.lines.filter((line) => line.includes('frame failed'))).toEqual([]);
  });

  it('is answered internal where publishing fails, and the session goes on', async () => {
    const publisher = { publish: () => Promise.reject(new Error('broken')) };
    await using server = await openGateway({ publisher });
    const socket = await server.login();
    expect(await socket.ask({ ...FRAME, ref: 1 })).toMatchObject({ code: 'internal', retryable: true, ref: 1 });
    expect(await socket.ask({ type: 'ping' })).toEqual({ type: 'pong' });
    expect(await request(server, user('a'))).toMatchObject({ status: 500, body: { error: 'internal' } });
    expect(await server.metrics.text()).toContain('rowcast_published_total{via="socket",outcome="internal"} 1');
  });

  it('before authentication is refused', async () => {
    await using server = await openGateway();
    const socket = await server.connect();
    expect(await socket.ask(FRAME)).toMatchObject({ code: 'auth_required' });
  });

  it.each([
    ['with its payload written twice', '"payload":1,"payload":{"b": 2.0}', '{"b": 2.0}'],
    ['with its name escaped', '"pay\\u006coad": [ 1.0 ] ', '[ 1.0 ]'],
    ['with __proto__ in its payload', '"payload":{"__proto__":{"x":1}}', '{"__proto__":{"x":1}}'],
  ])('%s gives the text that JSON.parse would take', async (_, member, text) => {
    const given: string[] = [];
    const publisher: MessagePublisher = {
      publish: async (_identity, _connectionId, requests) => {
        given.push(...requests.map(({ payload }) => payload));
        return { ok: true, published: [{ messageId: 'm', isEphemeral: false }] };
      },
    };
    await using server = await openGateway({ publisher });
    const socket = await server.login();
    socket.sendText(` { "type" : "publish","channel":"order:1","event":"made", ${member} } `);
    await socket.frame('published');
    expect(given).toEqual([text]);
  });
});

describe('the rate of publishing', () => {
  const env = { ROWCAST_PUBLISHES_PER_SECOND: '2' };

  it('is that of a user, over all its sockets and requests, and an error frame above it', async () => {
    await using server = await openGateway({ env });
    const [one, two] = [await server.login(), await server.login()];
    for (const socket of [one, two, one, two]) expect(await socket.ask(FRAME)).toMatchObject({ type: 'published' });
    expect(await one.ask({ ...FRAME, ref: 'r' })).toEqual({
      type: 'error',
      message: 'Too many messages: a user may publish 2 a second',
      code: 'rate_limited',
      retryable: true,
      ref: 'r',
      channel: 'order:1',
    });
    const { sub } = JSON.parse(atob(token().split('.')[1] ?? '')) as { sub: string };
    expect((await request(server, user(sub))).status).toBe(429);
    const other = await server.login({ role: 'authenticated', sub: 'other' });
    expect(await other.ask(FRAME)).toMatchObject({ type: 'published' });
    expect(await server.metrics.text()).toContain('rowcast_rate_limited_total{kind="publishes"} 2');
  });

  it('answers requests above it with 429 and says when to come back', async () => {
    await using server = await openGateway({ env });
    for (let n = 0; n < 4; n += 1) expect((await request(server, user('a'))).status).toBe(200);
    const { status, body, headers } = await request(server, user('a'));
    expect([status, body.error]).toEqual([429, 'rate_limited']);
    expect(
      ['retry-after', 'x-ratelimit-limit', 'x-ratelimit-remaining', 'x-ratelimit-reset'].map((name) =>
        headers.get(name),
      ),
    ).toEqual(['1', '2', '0', '1']);
  });

  it('counts every message of a list; one longer than the burst is taken and made up for', async () => {
    await using server = await openGateway({ env });
    const message = { channel: 'order:1', event: 'made', payload: 1 };
    expect((await request(server, user('a'), Array(10).fill(message))).status).toBe(200);
    const { status, headers } = await request(server, user('a'), message);
    expect([status, headers.get('retry-after')]).toEqual([429, '4']);
  });

  it('counts whoever has no sub by the address, whatever the role', async () => {
    await using server = await openGateway({ env });
    const bearers = [token({ role: 'service_role' }), token({ role: 'authenticated' })];
    for (const bearer of [...bearers, ...bearers]) expect((await request(server, bearer)).status).toBe(200);
    for (const bearer of bearers) expect((await request(server, bearer)).status).toBe(429);
    expect((await request(server, user('a'))).status).toBe(200);
  });

  it('is none where rate limits are off', async () => {
    await using server = await openGateway({ env: { ...env, ROWCAST_RATE_LIMIT: 'off' } });
    const socket = await server.login();
    for (let n = 0; n < 20; n += 1) expect(await socket.ask(FRAME)).toMatchObject({ type: 'published' });
    expect((await request(server, user('a'), Array(100).fill({ channel: 'a', event: 'e', payload: 1 }))).status).toBe(
      200,
    );
  });
});

describe('requests', () => {
  it('are limited per user, over all addresses of one, and for others not', async () => {
    await using server = await openGateway({ env: { ROWCAST_REQUESTS_PER_MINUTE_PER_USER: '3' } });
    for (let n = 0; n < 3; n += 1) expect((await request(server, user('a'))).status).toBe(200);
    const { status, body, headers } = await request(server, user('a'));
    expect([status, body]).toMatchObject([429, { error: 'rate_limited', message: 'Too many requests from this user' }]);
    expect([headers.get('x-ratelimit-limit'), headers.get('x-ratelimit-remaining')]).toEqual(['3', '0']);
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(50);
    expect((await request(server, user('b'))).status).toBe(200);
    expect(await server.metrics.text()).toContain('rowcast_rate_limited_total{kind="requests_of_user"} 1');
  });

  it('are limited per address before a token is looked at', async () => {
    await using server = await openGateway({ env: { ROWCAST_REQUESTS_PER_MINUTE: '2' } });
    for (const bearer of ['x', 'y']) expect((await request(server, bearer)).status).toBe(401);
    expect((await request(server, 'z')).body).toMatchObject({ message: 'Too many requests from this address' });
    expect(await server.metrics.text()).toContain('rowcast_auth_failures_total{reason="malformed"} 2');
  });
});

describe('connections of a user', () => {
  const env = { ROWCAST_MAX_CONNECTIONS_PER_USER: '2', ROWCAST_ALLOW_ANON: 'true' };
  const bearer = (sub: string) => ({ authorization: `Bearer ${user(sub)}` });

  it('are limited on the upgrade by 429, and by the auth frame with an error and 4429', async () => {
    await using server = await openGateway({ env });
    const first = await server.connect('', bearer('a'));
    await server.login({ role: 'authenticated', sub: 'a' });
    await expect(server.connect('', bearer('a'))).rejects.toThrow('429');
    await expect(server.connect(`?token=${user('a')}`)).rejects.toThrow('429');
    const socket = await server.connect();
    expect(await socket.ask({ type: 'auth', token: user('a'), ref: 1 })).toMatchObject({
      code: 'rate_limited',
      message: 'Too many connections: a user may have 2',
      ref: 1,
    });
    expect(await socket.closed).toMatchObject({ code: 4429 });
    expect(server.hub.connectionCount).toBe(2);
    await server.connect('', bearer('b'));
    first.webSocket.close();
    await first.closed;
    await until(() => server.login({ role: 'authenticated', sub: 'a' }));
    expect(await server.metrics.text()).toContain('rowcast_rate_limited_total{kind="connections_of_user"} 3');
  });

  it('count once however often their token is renewed', async () => {
    await using server = await openGateway({ env });
    const [one, two] = [await server.login(), await server.login()];
    for (const socket of [one, two, one]) {
      expect(await socket.ask({ type: 'auth', token: token() })).toMatchObject({ type: 'auth_success' });
    }
    one.webSocket.close();
    await one.closed;
    await until(() => server.login());
  });

  it('count from the first token on where they began as anonymous', async () => {
    await using server = await openGateway({ env });
    await server.login();
    await server.login();
    const socket = await server.connect();
    expect(await socket.ask({ type: 'ping' })).toEqual({ type: 'pong' });
    expect(await socket.ask({ type: 'auth', token: token() })).toMatchObject({ code: 'rate_limited' });
    expect(await socket.closed).toMatchObject({ code: 4429 });
  });

  it('without a sub are limited by the address alone', async () => {
    await using server = await openGateway({ env });
    for (let n = 0; n < 4; n += 1) await server.login({ role: 'authenticated' });
    expect(server.hub.connectionCount).toBe(4);
  });

  it('have no limit where rate limits are off', async () => {
    await using server = await openGateway({ env: { ...env, ROWCAST_RATE_LIMIT: 'off' } });
    for (let n = 0; n < 5; n += 1) await server.connect('', bearer('a'));
  });
});

describe('connections of an address', () => {
  const env = { ROWCAST_MAX_CONNECTIONS_PER_ADDRESS: '2' };

  it('are limited, authenticated or not, and make room when they end', async () => {
    await using server = await openGateway({ env });
    const [first] = [await server.connect(), await server.login()];
    await expect(server.connect()).rejects.toThrow('429');
    await expect(server.connect(`?token=${user('b')}`)).rejects.toThrow('429');
    first.terminate();
    await first.closed;
    await until(() => server.connect());
    expect(await server.metrics.text()).toMatch(/rowcast_rate_limited_total\{kind="connections_of_address"\} [2-9]/);
  });

  it('give back their place when the upgrade is refused', async () => {
    await using server = await openGateway({ env });
    for (let n = 0; n < 5; n += 1) await expect(server.connect('?token=x')).rejects.toThrow('401');
    await server.connect();
    await server.connect();
  });
});
