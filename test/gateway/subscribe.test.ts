// Owns the behaviour of subscribe and unsubscribe on a socket: what is refused and how, what is live from
// when, and how several subscriptions of one channel are told apart.

import { describe, expect, it } from 'vitest';
import { textFrame } from '../../server/protocol/websocket-frame.ts';
import { ALLOWED, type OpenGateway, openGateway, policyOf, positionAt, refusal } from './open-gateway.ts';
import type { Frame } from './test-socket.ts';

describe('subscribe', () => {
  it('answers with the position that was delivered at that moment', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    server.stream.position = positionAt(0x7777n, 3);
    const answer = await socket.ask({ type: 'subscribe', channel: 'db:posts', ref: 'r' });
    expect(answer).toEqual({
      type: 'subscribed',
      channel: 'db:posts',
      subscriptionId: expect.any(String),
      position: '00000001-0000000000007777-00000003',
      ref: 'r',
    });
  });

  it('is live when it is answered: what is delivered in the same turn comes right behind', async () => {
    let decide: () => void = () => {};
    const decided = new Promise<void>((resolve) => {
      decide = resolve;
    });
    const policy = policyOf(() => decided.then(() => ALLOWED));
    await using server = await openGateway({ policy });
    const socket = await server.login();
    socket.send({ type: 'subscribe', channel: 'order:1' });
    const isLive = new Promise<void>((resolve) => {
      const subscribe = server.hub.subscribe.bind(server.hub);
      server.hub.subscribe = (options) => {
        queueMicrotask(() => {
          publish(server, 'order:1', { type: 'message', channel: 'order:1', event: 'e' });
          resolve();
        });
        return subscribe(options);
      };
    });
    decide();
    await isLive;
    expect(await socket.next()).toMatchObject({ type: 'subscribed' });
    expect(await socket.next()).toMatchObject({ type: 'message', event: 'e' });
  });

  it('passes on the warnings of the decision', async () => {
    const warnings = [{ code: 'no_identity', message: 'deletes cannot be judged' }];
    await using server = await openGateway({ policy: policyOf(async () => ({ ...ALLOWED, warnings })) });
    const socket = await server.login();
    expect(await socket.ask({ type: 'subscribe', channel: 'db:posts' })).toMatchObject({
      type: 'subscribed',
      warnings,
    });
  });

  it('twice makes two subscriptions, and their messages say which they are for', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    const first = await socket.ask({ type: 'subscribe', channel: 'order:1' });
    const second = await socket.ask({ type: 'subscribe', channel: 'order:1' });
    const ids = [...server.hub.groups('order:1')].map((group) => group.spec.subscriptionId);
    expect(ids.sort()).toEqual([first.subscriptionId, second.subscriptionId].sort());
    await socket.ask({ type: 'unsubscribe', subscriptionId: first.subscriptionId });
    expect([...server.hub.groups('order:1')].map((group) => group.spec.subscriptionId)).toEqual([undefined]);
  });

  it('knows one table under all its spellings, and answers with the one that was used', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    const spellings = ['db:posts', 'db:public.posts', 'db:"posts"', 'db:public."posts"'];
    for (const channel of spellings)
      expect(await socket.ask({ type: 'subscribe', channel })).toMatchObject({ channel });
    expect([...server.hub.activeChannels()]).toEqual([{ channel: 'db:posts', subscriptions: 4 }]);
  });

  it('with a since that cannot be served says so, and goes live', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    for (const since of [positionAt(5n), '660e8400-e29b-41d4-a716-446655440000']) {
      const answer = await socket.ask({ type: 'subscribe', channel: 'db:posts', since });
      expect(answer).toMatchObject({ type: 'subscribed', recovered: false, reason: 'unknown' });
      const { subscriptionId, position } = answer;
      expect(await socket.next()).toEqual({ type: 'live', channel: 'db:posts', subscriptionId, position });
    }
  });

  const refused: [string, object, string][] = [
    ['an unknown channel', { channel: 'missing:1' }, 'channel_unavailable'],
    ['a forbidden channel', { channel: 'secret:1' }, 'channel_unavailable'],
    ['a forbidden table, whatever its filter', { channel: 'db:secret', filter: { where: 1 } }, 'channel_unavailable'],
    ['a pattern', { channel: 'order:*' }, 'wildcard_not_supported'],
    ['a pattern of tables', { channel: 'db:%' }, 'wildcard_not_supported'],
    ['an empty name', { channel: '' }, 'bad_name'],
    ['a name of 201 characters', { channel: 'x'.repeat(201) }, 'bad_name'],
    ['a name with a blank', { channel: 'order 1' }, 'bad_name'],
    ['two schemas at odds', { channel: 'db:audit.posts', filter: { schema: 'public' } }, 'bad_name'],
    ['an event that no table has', { channel: 'db:posts', filter: { event: 'UPSERT' } }, 'bad_filter'],
    ['an event in lower case', { channel: 'db:posts', filter: { event: 'insert' } }, 'bad_filter'],
    ['a list with one wrong event', { channel: 'db:posts', filter: { event: ['INSERT', 'x'] } }, 'bad_filter'],
    ['a where on a channel that is no table', { channel: 'order:1', filter: { where: { a: 1 } } }, 'bad_filter'],
    ['columns of a channel that is no table', { channel: 'order:1', filter: { columns: ['id'] } }, 'bad_filter'],
    ['a schema on a channel that is no table', { channel: 'order:1', filter: { schema: 'public' } }, 'bad_filter'],
    ['a since that is none', { channel: 'db:posts', since: 'yesterday' }, 'bad_since'],
    ['a snapshot', { channel: 'db:posts', snapshot: true }, 'snapshot_unavailable'],
    ['a misspelt field', { channel: 'db:posts', fitler: {} }, 'bad_frame'],
    ['a misspelt field in the filter', { channel: 'db:posts', filter: { evnet: '*' } }, 'bad_frame'],
    ['a channel that is no text', { channel: 7 }, 'bad_frame'],
  ];
  it.each(refused)('refuses %s', async (_what, frame, code) => {
    await using server = await openGateway();
    const socket = await server.login();
    const answer = await socket.ask({ type: 'subscribe', ref: 'r', ...frame });
    expect(answer).toMatchObject({ type: 'error', code, ref: 'r', retryable: false, message: expect.any(String) });
    expect([...server.hub.activeChannels()]).toEqual([]);
  });

  it('answers alike for a channel that is forbidden and one that does not exist', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    const forbidden = await socket.ask({ type: 'subscribe', channel: 'secret:1' });
    const missing = await socket.ask({ type: 'subscribe', channel: 'missing:1' });
    expect({ ...forbidden, channel: '' }).toEqual({ ...missing, channel: '' });
    expect(forbidden).not.toHaveProperty('detail');
  });

  it('tells admins the detail of a refusal', async () => {
    const said = { code: 'channel_unavailable', message: 'no', detail: 'alter publication …' } as const;
    await using server = await openGateway({ policy: policyOf(async () => refusal(said)) });
    const admin = await server.login({ role: 'service_role' });
    expect(await admin.ask({ type: 'subscribe', channel: 'db:x' })).toMatchObject({ detail: 'alter publication …' });
    const user = await server.login();
    expect(await user.ask({ type: 'subscribe', channel: 'db:x' })).not.toHaveProperty('detail');
  });

  it('answers internal when the decision fails, says nothing of the cause, and goes on', async () => {
    const policy = policyOf(() => Promise.reject(new Error('password of postgres')));
    await using server = await openGateway({ policy });
    const socket = await server.login();
    const answer = await socket.ask({ type: 'subscribe', channel: 'db:x', ref: 1 });
    expect(answer).toEqual({ type: 'error', message: 'Internal error', code: 'internal', retryable: true, ref: 1 });
    expect(server.log.lines.join()).toContain('password of postgres');
    expect(await socket.ask({ type: 'ping' })).toEqual({ type: 'pong' });
  });

  it('is decided once more when a review of live subscriptions began meanwhile', async () => {
    const answers = [ALLOWED, refusal({ code: 'channel_unavailable', message: 'no' })];
    const policy = policyOf(async () => {
      if (answers.length === 2) server.reviews.begun += 1;
      return answers.shift() ?? ALLOWED;
    });
    await using server = await openGateway({ policy });
    const socket = await server.login();
    const answer = await socket.ask({ type: 'subscribe', channel: 'order:1' });
    expect(answer).toMatchObject({ type: 'error', code: 'channel_unavailable' });
    expect([...server.hub.activeChannels()]).toEqual([]);
  });

  it('is unavailable when reviews begin faster than it can be decided', async () => {
    const policy = policyOf(async () => {
      server.reviews.begun += 1;
      return ALLOWED;
    });
    await using server = await openGateway({ policy });
    const socket = await server.login();
    const answer = await socket.ask({ type: 'subscribe', channel: 'order:1' });
    expect(answer).toMatchObject({ type: 'error', code: 'unavailable', retryable: true });
    expect([...server.hub.activeChannels()]).toEqual([]);
  });

  it('leaves nothing subscribed when the position cannot be read', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    Object.defineProperty(server.stream, 'position', {
      get: () => {
        throw new Error('no position yet');
      },
    });
    expect(await socket.ask({ type: 'subscribe', channel: 'order:1' })).toMatchObject({ code: 'internal' });
    expect([...server.hub.activeChannels()]).toEqual([]);
  });

  it('that is decided after the socket has gone subscribes nothing', async () => {
    let decide: () => void = () => {};
    let asked: () => void = () => {};
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const decided = new Promise<void>((resolve) => {
      decide = resolve;
    });
    const policy = policyOf(async () => {
      asked();
      await decided;
      return ALLOWED;
    });
    await using server = await openGateway({ policy });
    const socket = await server.login();
    socket.send({ type: 'subscribe', channel: 'order:1' });
    await isAsked;
    socket.terminate();
    while (server.hub.connectionCount > 0) await new Promise((resolve) => setImmediate(resolve));
    decide();
    await new Promise((resolve) => setImmediate(resolve));
    expect([...server.hub.activeChannels()]).toEqual([]);
    expect(server.log.lines.join()).not.toContain('frame failed');
  });

  it('is refused above the limit, until one has ended', async () => {
    await using server = await openGateway({ env: { ROWCAST_MAX_SUBSCRIPTIONS: '2' } });
    const socket = await server.login();
    const { subscriptionId } = await socket.ask({ type: 'subscribe', channel: 'order:1' });
    await socket.ask({ type: 'subscribe', channel: 'order:2' });
    const third = { type: 'subscribe', channel: 'order:3' };
    expect(await socket.ask(third)).toMatchObject({ type: 'error', code: 'too_many_subscriptions' });
    await socket.ask({ type: 'unsubscribe', subscriptionId });
    expect(await socket.ask(third)).toMatchObject({ type: 'subscribed' });
  });
});

describe('unsubscribe', () => {
  it('by channel ends all on it, however spelled, and names the id only if it was one', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    await socket.ask({ type: 'subscribe', channel: 'db:posts' });
    await socket.ask({ type: 'subscribe', channel: 'db:public.posts' });
    expect(await socket.ask({ type: 'unsubscribe', channel: 'db:"posts"', ref: 4 })).toEqual({
      type: 'unsubscribed',
      channel: 'db:"posts"',
      ref: 4,
    });
    const { subscriptionId } = await socket.ask({ type: 'subscribe', channel: 'db:posts' });
    const answer = await socket.ask({ type: 'unsubscribe', channel: 'db:posts' });
    expect(answer).toEqual({ type: 'unsubscribed', channel: 'db:posts', subscriptionId });
    expect([...server.hub.activeChannels()]).toEqual([]);
  });

  it('by the spelling that was subscribed ends one of another schema', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    await socket.ask({ type: 'subscribe', channel: 'db:posts', filter: { schema: 'audit' } });
    expect([...server.hub.activeChannels()]).toEqual([{ channel: 'db:audit.posts', subscriptions: 1 }]);
    expect(await socket.ask({ type: 'unsubscribe', channel: 'db:posts' })).toMatchObject({ type: 'unsubscribed' });
  });

  it('by id ends that one', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    const { subscriptionId } = await socket.ask({ type: 'subscribe', channel: 'order:1' });
    await socket.ask({ type: 'subscribe', channel: 'order:1' });
    const answer = await socket.ask({ type: 'unsubscribe', subscriptionId });
    expect(answer).toEqual({ type: 'unsubscribed', channel: 'order:1', subscriptionId });
    expect([...server.hub.activeChannels()]).toEqual([{ channel: 'order:1', subscriptions: 1 }]);
  });

  it.each([
    ['nothing', {}, 'bad_frame'],
    ['both', { channel: 'order:1', subscriptionId: 'x' }, 'bad_frame'],
    ['what is not subscribed', { channel: 'order:1' }, 'not_subscribed'],
    ['an id that is not its own', { subscriptionId: 'x' }, 'not_subscribed'],
  ])('refuses %s', async (_what, fields, code) => {
    await using server = await openGateway();
    const socket = await server.login();
    expect(await socket.ask({ type: 'unsubscribe', ...fields })).toMatchObject({ type: 'error', code });
  });

  it('cannot end the subscription of another connection', async () => {
    await using server = await openGateway();
    const [mine, other] = [await server.login(), await server.login()];
    const { subscriptionId } = await mine.ask({ type: 'subscribe', channel: 'order:1' });
    expect(await other.ask({ type: 'unsubscribe', subscriptionId })).toMatchObject({ code: 'not_subscribed' });
    expect([...server.hub.activeChannels()]).toEqual([{ channel: 'order:1', subscriptions: 1 }]);
  });
});

function publish(server: OpenGateway, channel: string, message: Frame): void {
  for (const group of server.hub.groups(channel)) server.hub.deliver(group, textFrame(JSON.stringify(message)));
  server.hub.flush();
}
