// Streams of events at the gateway alone: limits, refusals that pass, anonymous clients, and the end of the server.

import { expect, it } from 'vitest';
import { EventStream } from '../app/event-stream.ts';
import { until } from '../rig/until.ts';
import { type OpenOptions, openGateway, token, USER } from './open-gateway.ts';

const user = (sub = USER): string => token({ role: 'authenticated', sub });
const pathOf = (more: Readonly<Record<string, string>>): string =>
  `/realtime/sse?${new URLSearchParams({ channel: 'order:1', ...more })}`;
const EVENT_SOURCE = { accept: 'text/event-stream' };
const UNDECIDED: OpenOptions['policy'] = {
  decide: async () => {
    const refusal = { code: 'unavailable', message: 'Not now' } as const;
    return { allowed: false, refusal, endReason: 'not_allowed' };
  },
  review: async () => [],
  readFilter: async () => ({ ok: true, filter: null }),
};

it('an EventSource that cannot be served yet gets a stream that ends, so that it comes back', async () => {
  await using server = await openGateway({ policy: UNDECIDED });
  const url = server.http + pathOf({ token: user() });
  const stream = await EventStream.open(url, EVENT_SOURCE);
  await stream.ended();
  expect(stream.retry).toBe(2_000);
  expect(stream.data()).toEqual([{ type: 'error', code: 'unavailable', message: 'Not now', retryable: true }]);
  const other = await fetch(url);
  expect([other.status, other.headers.get('retry-after')]).toEqual([503, '1']);
  expect(await other.json()).toEqual({ error: 'unavailable', message: 'Not now', statusCode: 503 });
});

it('streams count among the connections of a user, and make room when they end', async () => {
  await using server = await openGateway({ env: { ROWCAST_MAX_CONNECTIONS_PER_USER: '2' } });
  const url = server.http + pathOf({ token: user() });
  const [first, second] = [await EventStream.open(url), await EventStream.open(url)];
  const refused = await fetch(url);
  expect([refused.status, refused.headers.get('x-ratelimit-limit')]).toEqual([429, '2']);
  await expect(server.connect(`?token=${user()}`)).rejects.toThrow('429');
  const other = await EventStream.open(server.http + pathOf({ token: user('other') }));
  first.close();
  const third = await until(() => EventStream.open(url), { what: 'a place' });
  for (const stream of [second, third, other]) stream.close();
});

it('streams and refused requests give their place among those of an address back', async () => {
  await using server = await openGateway({ env: { ROWCAST_MAX_CONNECTIONS_PER_ADDRESS: '1' } });
  const url = server.http + pathOf({ token: user() });
  for (let n = 0; n < 3; n += 1) {
    const denied = await until(async () => {
      const response = await fetch(server.http + pathOf({ token: user(), channel: 'secret' }));
      await response.body?.cancel();
      return response.status !== 429 && response.status;
    });
    expect(denied).toBe(403);
  }
  const stream = await until(() => EventStream.open(url), { what: 'a place' });
  expect((await fetch(url)).status).toBe(429);
  stream.close();
});

it('without a token a stream is for anon alone, where that is allowed', async () => {
  await using closed = await openGateway();
  const response = await fetch(closed.http + pathOf({}));
  expect([response.status, await response.json()]).toMatchObject([401, { error: 'auth_required' }]);
  await using open = await openGateway({ env: { ROWCAST_ALLOW_ANON: 'true' } });
  const refused = await fetch(open.http + pathOf({}));
  expect([refused.status, await refused.json()]).toMatchObject([403, { error: 'channel_unavailable' }]);
});

it('whoever comes in while changes do not flow is told', async () => {
  const systemNotice = () => ({ type: 'system', status: 'stalled', lagBytes: 1, since: 'then' }) as const;
  await using server = await openGateway({ systemNotice });
  const stream = await EventStream.open(server.http + pathOf({ token: user() }));
  const frames = await stream.received(3);
  expect(frames.map(({ type }) => type)).toEqual(['auth_success', 'system', 'subscribed']);
  stream.close();
});

it('HEAD opens no stream, and neither does an upgrade', async () => {
  await using server = await openGateway();
  const url = pathOf({ token: user() });
  expect((await fetch(server.http + url, { method: 'HEAD' })).status).toBe(404);
  expect((await fetch(`${server.http}/api/events/stream?token=x`, { method: 'HEAD' })).status).toBe(404);
  await expect(server.connect(url.slice('/realtime'.length))).rejects.toThrow('404');
  expect(server.hub.connectionCount).toBe(0);
});

it('streams end as restarting when the server does, and are cut where it closes without a word', async () => {
  await using server = await openGateway({ env: { ROWCAST_SHUTDOWN_SPREAD: '0' } });
  const stream = await EventStream.open(server.http + pathOf({ token: user() }));
  await stream.received(2);
  await server.gateway.drain();
  await stream.ended();
  expect(stream.events.at(-1)).toMatchObject({ event: 'close', data: '{"code":1012,"reason":"restarting"}' });
  const late = await EventStream.open(server.http + pathOf({ token: user() }), EVENT_SOURCE);
  await late.ended();
  expect(late.data()).toMatchObject([{ type: 'error', code: 'unavailable' }]);
  await using sudden = await openGateway();
  const cut = await EventStream.open(sudden.http + pathOf({ token: user() }));
  await cut.received(2);
  await sudden.gateway.close();
  await cut.ended();
});
