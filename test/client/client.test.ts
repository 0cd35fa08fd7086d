// Owns the behaviour of the client against a real gateway: subscribe, receive, renew, come back, end.

import { describe, expect, it } from 'vitest';
import {
  type Client,
  type ClientOptions,
  createClient,
  type Message,
  RowcastError,
  type SubscriptionStatus,
} from '../../client/rowcast.js';
import { textFrame } from '../../server/protocol/websocket-frame.ts';
import { ALLOWED, type OpenGateway, openGateway, policyOf, positionAt, token } from '../gateway/open-gateway.ts';
import { until } from '../rig/until.ts';

const backoff = { initialMs: 5, maxMs: 20 };

describe('subscribing', () => {
  it('connects, authenticates, and brings messages in order', async () => {
    await using server = await openGateway();
    await using client = open(server);
    const got: Message[] = [];
    const posts = client.subscribe('db:posts', { onMessage: (message) => got.push(message) });
    await posts.ready;
    expect(client.identity).toEqual({ userId: expect.any(String), role: 'authenticated' });
    for (const lsn of [101n, 102n, 103n]) publish(server, 'db:posts', lsn);
    await client.ping();
    expect(got.map((message) => message.position)).toEqual([101n, 102n, 103n].map((lsn) => positionAt(lsn)));
    expect(posts.position).toBe(positionAt(103n));
  });

  it('misses no message that comes in the same packet as the reply', async () => {
    await using server = await openGateway();
    const subscribe = server.hub.subscribe.bind(server.hub);
    server.hub.subscribe = (options) => {
      queueMicrotask(() => publish(server, 'db:posts', 101n));
      return subscribe(options);
    };
    await using client = open(server);
    const got: Message[] = [];
    await client.subscribe('db:posts', { onMessage: (message) => got.push(message) }).ready;
    await client.ping();
    expect(got).toHaveLength(1);
  });

  it('that is refused rejects ready, ends, and is an error event', async () => {
    await using server = await openGateway();
    await using client = open(server);
    const errors: RowcastError[] = [];
    client.on('error', (error) => errors.push(error));
    const statuses: SubscriptionStatus[] = [];
    const secret = client.subscribe('db:secret', { onStatus: (status) => statuses.push(status) });
    await expect(secret.ready).rejects.toMatchObject({ code: 'channel_unavailable', retryable: false });
    expect(statuses).toEqual([{ type: 'ended', reason: 'channel_unavailable' }]);
    expect(errors).toEqual([expect.any(RowcastError)]);
    expect(client.status).toBe('connected');
  });

  it('that fails for a while is asked for again', async () => {
    let failures = 1;
    await using server = await openGateway({
      policy: policyOf(async () => {
        if (failures-- > 0) throw new Error('down');
        return { ...ALLOWED, warnings: [{ code: 'w', message: 'careful' }] };
      }),
    });
    await using client = open(server);
    const statuses: SubscriptionStatus[] = [];
    await client.subscribe('db:posts', { onStatus: (status) => statuses.push(status) }).ready;
    expect(statuses).toMatchObject([{ type: 'subscribed', warnings: [{ code: 'w' }] }]);
  });

  it('twice to one channel hands each message to both', async () => {
    await using server = await openGateway();
    await using client = open(server);
    const [first, second]: [Message[], Message[]] = [[], []];
    const one = client.subscribe('db:posts', { onMessage: (message) => first.push(message) });
    const two = client.subscribe('db:posts', { onMessage: (message) => second.push(message) });
    await Promise.all([one.ready, two.ready]);
    publish(server, 'db:posts', 101n);
    await client.ping();
    await one.unsubscribe();
    publish(server, 'db:posts', 102n);
    await client.ping();
    expect([first.length, second.length]).toEqual([1, 2]);
  });

  it('to tables of one name in two schemas tells their rows apart', async () => {
    await using server = await openGateway();
    await using client = open(server);
    const got: string[] = [];
    const open1 = client.subscribe('db:posts', { onMessage: () => got.push('public') });
    const open2 = client.subscribe('db:posts', { filter: { schema: 'audit' }, onMessage: () => got.push('audit') });
    await Promise.all([open1.ready, open2.ready]);
    publish(server, 'db:audit.posts', 101n, { channel: 'db:posts', payload: { schema: 'audit' } });
    publish(server, 'db:posts', 102n, { payload: { schema: 'public' } });
    await client.ping();
    expect(got).toEqual(['audit', 'public']);
  });
});

describe('unsubscribing', () => {
  it('ends it on the server, and hands on nothing more', async () => {
    await using server = await openGateway();
    await using client = open(server);
    const got: Message[] = [];
    const posts = client.subscribe('db:posts', { onMessage: (message) => got.push(message) });
    await posts.ready;
    publish(server, 'db:posts', 101n);
    const ended = posts.unsubscribe();
    await ended;
    expect([...server.hub.activeChannels()]).toEqual([]);
    expect(got).toEqual([]);
  });

  it('before the reply has come ends it all the same', async () => {
    await using server = await openGateway();
    await using client = open(server);
    await client.connect();
    const posts = client.subscribe('db:posts');
    await posts.unsubscribe();
    await expect(posts.ready).rejects.toMatchObject({ code: 'closed' });
    await client.ping();
    await client.ping();
    expect([...server.hub.activeChannels()]).toEqual([]);
  });
});

describe('duplicates', () => {
  it('at or below the last position are dropped', async () => {
    await using server = await openGateway();
    await using client = open(server);
    const got: Message[] = [];
    await client.subscribe('db:posts', { onMessage: (message) => got.push(message) }).ready;
    for (const lsn of [101n, 101n, 103n, 102n, 103n, 104n]) publish(server, 'db:posts', lsn);
    await client.ping();
    expect(got.map((message) => message.position)).toEqual([101n, 103n, 104n].map((lsn) => positionAt(lsn)));
  });

  it('without a position are known by their id', async () => {
    await using server = await openGateway();
    await using client = open(server);
    const got: Message[] = [];
    await client.subscribe('chat', { onMessage: (message) => got.push(message) }).ready;
    for (const messageId of ['a', 'b', 'a', undefined, undefined]) {
      publish(server, 'chat', undefined, { messageId });
    }
    await client.ping();
    expect(got.map((message) => message.messageId)).toEqual(['a', 'b', undefined, undefined]);
  });
});

describe('a connection that is lost', () => {
  it('is made again, and everything is subscribed again with the last position as since', async () => {
    await using server = await openGateway();
    const sent: Record<string, unknown>[] = [];
    await using client = open(server, { webSocket: recording(sent) });
    const statuses: SubscriptionStatus[] = [];
    const got: Message[] = [];
    const posts = client.subscribe('db:posts', {
      filter: { event: 'INSERT' },
      onMessage: (message) => got.push(message),
      onStatus: (status) => statuses.push(status),
    });
    await posts.ready;
    publish(server, 'db:posts', 105n);
    await until(() => got.length === 1);
    server.stream.position = positionAt(109n);
    cut(server);
    await until(() => statuses.at(-1)?.type === 'live');
    const subscribes = sent.filter((frame) => frame.type === 'subscribe');
    expect(subscribes.map(({ since, filter }) => ({ since, filter }))).toEqual([
      { since: undefined, filter: { event: 'INSERT' } },
      { since: positionAt(105n), filter: { event: 'INSERT' } },
    ]);
    expect(statuses.map((status) => status.type)).toEqual(['subscribed', 'disconnected', 'subscribed', 'gap', 'live']);
    expect(statuses[3]).toEqual({ type: 'gap', reason: 'unknown', from: positionAt(105n), to: positionAt(109n) });
    publish(server, 'db:posts', 110n);
    await until(() => got.length === 2);
  });

  it('asks for what came since it subscribed, where no message came', async () => {
    await using server = await openGateway();
    const sent: Record<string, unknown>[] = [];
    await using client = open(server, { webSocket: recording(sent) });
    await client.subscribe('db:posts').ready;
    cut(server);
    await until(() => sent.filter((frame) => frame.type === 'subscribe').length === 2);
    expect(sent.at(-1)).toMatchObject({ since: positionAt(100n) });
  });

  it('by a restart comes back to the new server', async () => {
    const first = await openGateway({ env: { ROWCAST_SHUTDOWN_SPREAD: '0' } });
    await using client = open(first);
    const statuses: string[] = [];
    client.on('status', (status) => statuses.push(status));
    await client.subscribe('db:posts').ready;
    await first.gateway.drain();
    await first[Symbol.asyncDispose]();
    await using second = await openGateway({ env: { PORT: String(first.port) } });
    await until(() => second.hub.hasSubscribers('db:posts'));
    expect(statuses.slice(0, 3)).toEqual(['connecting', 'connected', 'waiting']);
    expect(client.status).toBe('connected');
  });
});

describe('a token', () => {
  it('is renewed by the callback when the server says that it ends', async () => {
    await using server = await openGateway();
    let calls = 0;
    const lives = [2, 600];
    await using client = open(server, { token: () => token(undefined, lives[calls++] ?? 600) });
    await client.subscribe('db:posts').ready;
    await until(() => calls === 2);
    const exp = () => [...server.hub.connections()].map((connection) => connection.identity.expiresAt ?? 0);
    await until(() => (exp()[0] ?? 0) > Date.now() / 1000 + 60);
    // Still the first connection.
    expect(client.status).toBe('connected');
    expect(server.hub.connectionCount).toBe(1);
  });

  it('that expired is asked for again, and the client comes back', async () => {
    await using server = await openGateway({ env: { ROWCAST_EXPIRY_NOTICE: '1ms' } });
    let calls = 0;
    const errors: RowcastError[] = [];
    await using client = open(server, {
      token: async () => {
        calls += 1;
        if (calls === 2) throw new Error('the issuer is down');
        return token(undefined, calls === 1 ? 1 : 600);
      },
    });
    client.on('error', (error) => errors.push(error));
    await client.subscribe('db:posts').ready;
    await until(() => calls >= 3 && client.status === 'connected');
    expect(errors.map((error) => error.code)).toContain('token_failed');
    await until(() => server.hub.hasSubscribers('db:posts'));
  });

  it('given as text is announced as expiring, and may be replaced', async () => {
    await using server = await openGateway();
    await using client = open(server, { token: token(undefined, 2) });
    const expiring = new Promise((resolve) => client.on('tokenExpiring', resolve));
    await client.connect();
    await expiring;
    await client.authenticate(token());
    const [connection] = server.hub.connections();
    expect(connection?.identity.expiresAt).toBeGreaterThan(Date.now() / 1000 + 60);
  });

  it('given as text that expires ends the client, with the reason', async () => {
    await using server = await openGateway();
    await using client = open(server, { token: token(undefined, 1) });
    const failed = new Promise<RowcastError>((resolve) => client.on('error', resolve));
    const posts = client.subscribe('db:posts');
    await posts.ready;
    expect(await failed).toMatchObject({ code: 'token_expired' });
    await until(() => client.status === 'closed');
    await expect(client.subscribe('db:posts').ready).rejects.toMatchObject({ code: 'closed' });
  });

  it('given as text that is refused rejects connect', async () => {
    await using server = await openGateway();
    await using client = open(server, { token: 'nope' });
    client.on('error', () => {});
    await expect(client.connect()).rejects.toMatchObject({ code: 'bad_token', message: 'Invalid token' });
  });

  it('is not needed where anonymous connections are allowed', async () => {
    const policy = policyOf(async () => ALLOWED);
    await using server = await openGateway({ env: { ROWCAST_ALLOW_ANON: 'true' }, policy });
    await using client = createDisposable(server.http, { backoff });
    await client.subscribe('db:posts').ready;
    expect([...server.hub.connections()][0]?.identity.role).toBe('anon');
  });
});

it('a listener that throws is an error event, and nothing else stops', async () => {
  await using server = await openGateway();
  await using client = open(server);
  const errors: RowcastError[] = [];
  client.on('error', (error) => errors.push(error));
  let seen = 0;
  const onMessage = (): void => {
    seen += 1;
    throw new Error('in the app');
  };
  await client.subscribe('db:posts', { onMessage }).ready;
  for (const lsn of [101n, 102n]) publish(server, 'db:posts', lsn);
  await client.ping();
  expect(seen).toBe(2);
  expect(errors.map((error) => [error.code, error.cause])).toEqual([
    ['listener_failed', new Error('in the app')],
    ['listener_failed', new Error('in the app')],
  ]);
});

it('what the server ends is told with its reason, and not asked for again', async () => {
  await using server = await openGateway();
  await using client = open(server, { token: token({ role: 'service_role' }) });
  const statuses: SubscriptionStatus[] = [];
  await client.subscribe('db:secret', { onStatus: (status) => statuses.push(status) }).ready;
  await client.authenticate(token({ role: 'authenticated' }));
  await until(() => statuses.at(-1)?.type === 'ended');
  expect(statuses.at(-1)).toEqual({ type: 'ended', reason: 'not_allowed' });
  const isBack = new Promise<void>((resolve) => {
    client.on('status', (status) => status === 'connected' && resolve());
  });
  cut(server);
  await isBack;
  await client.ping();
  expect([...server.hub.activeChannels()]).toEqual([]);
});

it('closing ends subscriptions and connection, and may be repeated', async () => {
  await using server = await openGateway();
  const client = open(server);
  const posts = client.subscribe('db:posts');
  await posts.ready;
  await client.close();
  await client.close();
  await until(() => server.hub.connectionCount === 0);
  await posts.unsubscribe();
  expect(client.status).toBe('closed');
});

it('closing before it could connect ends it', async () => {
  const client = createClient('ws://127.0.0.1:1/realtime', {
    token: 'x',
    backoff: { initialMs: 60_000, maxMs: 60_000 },
  });
  const connected = client.connect();
  await until(() => client.status === 'waiting');
  await client.close();
  await expect(connected).rejects.toMatchObject({ code: 'closed' });
});

type Disposable = Client & AsyncDisposable;

function open(server: OpenGateway, options: ClientOptions = {}): Disposable {
  return createDisposable(server.http, { token: token(), backoff, ...options });
}

function createDisposable(url: string, options: ClientOptions): Disposable {
  const client = createClient(url, options);
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() });
}

function publish(server: OpenGateway, channel: string, lsn?: bigint, fields: object = {}): void {
  for (const group of server.hub.groups(channel)) {
    const { subscriptionId } = group.spec;
    const position = lsn === undefined ? undefined : positionAt(lsn);
    const message = { type: 'message', channel, event: 'INSERT', payload: {}, position, subscriptionId, ...fields };
    server.hub.deliver(group, textFrame(JSON.stringify(message)));
  }
  server.hub.flush();
}

/** Ends every connection as that of a reader that is too slow. */
function cut(server: OpenGateway): void {
  for (const connection of [...server.hub.connections()]) connection.onTooSlow();
}

function recording(sent: Record<string, unknown>[]): typeof WebSocket {
  return class extends WebSocket {
    override send(data: string): void {
      sent.push(JSON.parse(data) as Record<string, unknown>);
      super.send(data);
    }
  };
}
