// The routes that show who is connected and what is subscribed, and that close connections, over real sockets.

import { expect, it } from 'vitest';
import { until } from '../rig/until.ts';
import { type OpenGateway, openGateway, token, USER } from './open-gateway.ts';

const OTHER = '770e8400-e29b-41d4-a716-446655440000';
const UNKNOWN_ID = '00000000-0000-4000-8000-000000000000';
const admin = { authorization: `Bearer ${token({ role: 'service_role', sub: 'admin' })}` };

// biome-ignore lint/suspicious/noExplicitAny: JSON of many shapes
async function ask(server: OpenGateway, path: string, method = 'GET', headers = admin): Promise<any> {
  const response = await fetch(`${server.http}/api/realtime${path}`, { method, headers });
  return { status: response.status, ...((await response.json()) as object) };
}

async function subscribed(server: OpenGateway, sub: string, ...channels: string[]) {
  const socket = await server.login({ role: 'authenticated', sub });
  for (const channel of channels) {
    socket.send({ type: 'subscribe', channel });
    await socket.frame('subscribed');
  }
  return socket;
}

it('lists connections, the oldest first, with what each has', async () => {
  await using server = await openGateway();
  await server.connect();
  await subscribed(server, USER, 'order:1', 'order:2');
  await subscribed(server, OTHER);
  const { status, total, connections } = await ask(server, '/connections');
  expect([status, total]).toEqual([200, 2]);
  expect(connections).toEqual([
    {
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      userId: USER,
      role: 'authenticated',
      address: '127.0.0.1',
      connectedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      subscriptions: 2,
      queuedBytes: 0,
    },
    expect.objectContaining({ userId: OTHER, subscriptions: 0 }),
  ]);
  expect(await ask(server, `/connections?userId=${OTHER}`)).toMatchObject({
    total: 1,
    connections: [{ userId: OTHER }],
  });
  expect(await ask(server, '/connections?limit=1&offset=1')).toMatchObject({
    total: 2,
    connections: [{ userId: OTHER }],
  });
  expect(await ask(server, '/connections?offset=2')).toMatchObject({ total: 2, connections: [] });
});

it('lists subscribed channels, those with the most subscriptions first', async () => {
  await using server = await openGateway();
  await subscribed(server, USER, 'b:1', 'a:1', 'db:public.posts');
  await subscribed(server, OTHER, 'b:1', 'db:posts');
  expect(await ask(server, '/channels/active')).toEqual({
    status: 200,
    total: 3,
    channels: [
      { name: 'b:1', subscriptions: 2 },
      { name: 'db:posts', subscriptions: 2 },
      { name: 'a:1', subscriptions: 1 },
    ],
  });
  expect(await ask(server, '/channels/active?limit=1&offset=1')).toMatchObject({
    total: 3,
    channels: [{ name: 'db:posts' }],
  });
});

it('closes one connection as revoked, once', async () => {
  await using server = await openGateway();
  const socket = await subscribed(server, USER);
  const stays = await subscribed(server, USER);
  const [{ id }] = (await ask(server, '/connections')).connections;
  expect(await ask(server, `/connections/${id.toUpperCase()}`, 'DELETE')).toMatchObject({
    status: 200,
    message: expect.any(String),
  });
  expect(await socket.closed).toMatchObject({ code: 4403 });
  expect(await ask(server, `/connections/${id}`, 'DELETE')).toMatchObject({ status: 404, error: 'not_found' });
  expect(await ask(server, '/connections')).toMatchObject({ total: 1 });
  expect(await stays.ask({ type: 'ping' })).toEqual({ type: 'pong' });
});

it('closes all connections of a user, and no others', async () => {
  await using server = await openGateway();
  const closing = [await subscribed(server, 'a user/1'), await subscribed(server, 'a user/1')];
  const stays = await subscribed(server, OTHER);
  const path = `/users/${encodeURIComponent('a user/1')}/connections`;
  expect(await ask(server, path, 'DELETE')).toEqual({ status: 200, closed: 2 });
  for (const socket of closing) expect(await socket.closed).toMatchObject({ code: 4403 });
  expect(await ask(server, path, 'DELETE')).toEqual({ status: 200, closed: 0 });
  expect(await stays.ask({ type: 'ping' })).toEqual({ type: 'pong' });
  await until(() => server.hub.connectionCount === 1);
});

it.each([
  ['/connections?limit=0', 'GET'],
  ['/connections?limit=1001', 'GET'],
  ['/connections?limit=1e2', 'GET'],
  ['/connections?limit=0x10', 'GET'],
  ['/connections?limit=', 'GET'],
  ['/connections?limit=1&limit=2', 'GET'],
  ['/connections?limit=99999999999999999999', 'GET'],
  ['/connections?offset=-1', 'GET'],
  ['/connections?user=1', 'GET'],
  ['/connections?userId=%00', 'GET'],
  ['/channels/active?offset=1.5', 'GET'],
  ['/channels/active?__proto__=1', 'GET'],
  ['/connections/1', 'DELETE'],
  ['/users/%00/connections', 'DELETE'],
])('refuses %s', async (path, method) => {
  await using server = await openGateway();
  expect(await ask(server, path, method)).toMatchObject({ status: 400, error: 'bad_request', statusCode: 400 });
});

it('is for admins only', async () => {
  await using server = await openGateway();
  const user = { authorization: `Bearer ${token()}` };
  for (const [path, method] of [
    ['/connections', 'GET'],
    ['/channels/active', 'GET'],
    [`/connections/${UNKNOWN_ID}`, 'DELETE'],
    [`/users/${USER}/connections`, 'DELETE'],
  ] as const)
    expect(await ask(server, path, method, user)).toMatchObject({ status: 403, error: 'forbidden' });
});
