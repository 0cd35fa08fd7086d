// Owns the behaviour of a socket's authentication: every way in, tries and deadline, renewal, expiry.

import { describe, expect, it } from 'vitest';
import { CHANNEL_UNAVAILABLE } from '../../server/protocol/error-codes.ts';
import type { EndReason } from '../../server/protocol/server-frame.ts';
import { ALLOWED, openGateway, policyOf, refusal, SECRET, token, USER } from './open-gateway.ts';

const OTHER = '660e8400-e29b-41d4-a716-446655440000';

describe('the first auth', () => {
  it('is answered with who it is, the role and the expiry, and repeats ref', async () => {
    await using server = await openGateway();
    const socket = await server.connect();
    const exp = Math.floor(Date.now() / 1000) + 600;
    const answer = await socket.ask({ type: 'auth', ref: 'a1', token: token({ role: 'service_role', exp }) });
    const expiresAt = new Date(exp * 1000).toISOString().replace('.000Z', 'Z');
    expect(answer).toEqual({ type: 'auth_success', userId: null, role: 'service_role', expiresAt, ref: 'a1' });
  });

  it('is waited for by the frames right behind it', async () => {
    await using server = await openGateway();
    const socket = await server.connect();
    socket.send({ type: 'auth', token: token() });
    socket.send({ type: 'subscribe', channel: 'order:1', ref: 1 });
    socket.send({ type: 'ping', ref: 2 });
    expect(await socket.next()).toMatchObject({ type: 'auth_success' });
    expect(await socket.next()).toMatchObject({ type: 'subscribed', ref: 1 });
    expect(await socket.next()).toEqual({ type: 'pong', ref: 2 });
  });

  it('is followed by where the stream stands, while it does not flow', async () => {
    const since = '2026-11-24T10:00:00.000Z';
    const notice = { type: 'system', status: 'standby', lagBytes: null, since } as const;
    await using server = await openGateway({ systemNotice: () => notice });
    const socket = await server.connect();
    socket.send({ type: 'auth', token: token() });
    expect(await socket.next()).toMatchObject({ type: 'auth_success' });
    expect(await socket.next()).toEqual(notice);
  });

  it('is required by every other frame', async () => {
    await using server = await openGateway();
    const socket = await server.connect();
    for (const type of ['ping', 'subscribe', 'unsubscribe', 'publish']) {
      const rest = type === 'ping' ? {} : { channel: 'order:1' };
      const more = type === 'publish' ? { event: 'e', payload: {} } : {};
      const answer = await socket.ask({ type, ...rest, ...more });
      expect(answer).toMatchObject({ type: 'error', code: 'auth_required', retryable: false });
    }
  });

  it('may fail twice; the third failure closes 4401', async () => {
    await using server = await openGateway();
    const socket = await server.connect();
    for (const ref of [1, 2, 3]) {
      const answer = await socket.ask({ type: 'auth', token: 'x.y.z', ref });
      expect(answer).toMatchObject({ type: 'error', code: 'bad_token', message: 'Invalid token', ref });
    }
    expect(await socket.closed).toMatchObject({ code: 4401 });
  });

  it('may succeed after a failure', async () => {
    await using server = await openGateway();
    const socket = await server.connect();
    await socket.ask({ type: 'auth', token: 'x.y.z' });
    expect(await socket.ask({ type: 'auth', token: token() })).toMatchObject({ type: 'auth_success' });
  });

  it('says token_expired for a token that has expired', async () => {
    await using server = await openGateway();
    const socket = await server.connect();
    const answer = await socket.ask({ type: 'auth', token: token(undefined, -1) });
    expect(answer).toMatchObject({ type: 'error', code: 'token_expired', message: 'Invalid token' });
  });

  it('that never comes closes 4401 in time', async () => {
    await using server = await openGateway({ env: { ROWCAST_AUTH_DEADLINE: '50ms' } });
    const socket = await server.connect();
    expect(await socket.closed).toMatchObject({ code: 4401, reason: 'not authenticated in time' });
  });

  it('is no longer looked at after ten failures of an address', async () => {
    await using server = await openGateway({ env: { ROWCAST_AUTH_TRIES: '50' } });
    const socket = await server.connect();
    for (let n = 0; n < 10; n++)
      expect(await socket.ask({ type: 'auth', token: 'x' })).toMatchObject({ code: 'bad_token' });
    const answer = await socket.ask({ type: 'auth', token: token() });
    expect(answer).toMatchObject({ type: 'error', code: 'rate_limited', retryable: true });
  });

  it('may fail for ever where rate limits are off', async () => {
    await using server = await openGateway({ env: { ROWCAST_AUTH_TRIES: '50', ROWCAST_RATE_LIMIT: 'off' } });
    const socket = await server.connect();
    for (let n = 0; n < 12; n++) await socket.ask({ type: 'auth', token: 'x' });
    expect(await socket.ask({ type: 'auth', token: token() })).toMatchObject({ type: 'auth_success' });
  });
});

describe('a credential on the upgrade', () => {
  it('in the Authorization header is answered with auth_success', async () => {
    await using server = await openGateway();
    const socket = await server.connect('', { authorization: `Bearer ${token()}` });
    expect(await socket.next()).toMatchObject({ type: 'auth_success', userId: USER });
  });

  it('in ?token= is answered with auth_success', async () => {
    await using server = await openGateway();
    const socket = await server.connect(`?token=${token()}`);
    expect(await socket.next()).toMatchObject({ type: 'auth_success', userId: USER });
  });

  it('that is bad is refused with 401', async () => {
    await using server = await openGateway();
    await expect(server.connect('', { authorization: 'Bearer nope' })).rejects.toThrow('401');
    await expect(server.connect('', { authorization: `Basic ${token()}` })).rejects.toThrow('401');
    await expect(server.connect('?token=nope')).rejects.toThrow('401');
    await expect(server.connect('?ticket=nope')).rejects.toThrow('401');
    await expect(server.connect(`?token=${token()}&token=${token()}`)).rejects.toThrow('401');
    expect(server.hub.connectionCount).toBe(0);
  });

  it('as a ticket is good for one use', async () => {
    await using server = await openGateway();
    const headers = { authorization: `Bearer ${token()}` };
    const response = await fetch(`${server.http}/api/realtime/ticket`, { method: 'POST', headers });
    const { ticket, expiresAt } = (await response.json()) as { ticket: string; expiresAt: string };
    expect(Date.parse(expiresAt) - Date.now()).toBeLessThanOrEqual(30_000);
    const socket = await server.connect(`?ticket=${ticket}`);
    expect(await socket.next()).toMatchObject({ type: 'auth_success', userId: USER });
    await expect(server.connect(`?ticket=${ticket}`)).rejects.toThrow('401');
  });

  it('is never logged', async () => {
    await using server = await openGateway();
    const secret = token();
    await server.connect(`?token=${secret}`);
    await expect(server.connect(`?token=${secret}x`)).rejects.toThrow('401');
    await fetch(`${server.http}/nowhere?token=${secret}`, { headers: { authorization: `Bearer ${secret}` } });
    await fetch(`${server.http}/realtime?ticket=${secret}`);
    const lines = server.log.lines.join('\n');
    expect(lines).toContain('/nowhere?token=…');
    expect(lines).not.toContain(secret.slice(-20));
    expect(lines).not.toContain(SECRET);
  });
});

describe('a renewed token', () => {
  it('of the same sub takes over, with its role', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    const renewed = token({ role: 'service_role', sub: USER }, 1200);
    const answer = await socket.ask({ type: 'auth', token: renewed, ref: 9 });
    expect(answer).toMatchObject({ type: 'auth_success', userId: USER, role: 'service_role', ref: 9 });
    const [connection] = server.hub.connections();
    expect(connection?.identity).toMatchObject({ role: 'service_role', isAdmin: true });
  });

  it('of another sub is refused and changes nothing', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    const answer = await socket.ask({ type: 'auth', token: token({ role: 'service_role', sub: OTHER }) });
    expect(answer).toMatchObject({ type: 'error', code: 'identity_changed' });
    const [connection] = server.hub.connections();
    expect(connection?.identity).toMatchObject({ role: 'authenticated', sub: USER });
  });

  it('that is bad is refused and changes nothing', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    expect(await socket.ask({ type: 'auth', token: 'x.y.z' })).toMatchObject({ code: 'bad_token' });
    expect(await socket.ask({ type: 'ping' })).toEqual({ type: 'pong' });
  });

  it('ends the subscriptions it may not have, and moves the others to its class', async () => {
    await using server = await openGateway();
    const admin = { role: 'service_role', sub: USER };
    const socket = await server.login(admin);
    await socket.ask({ type: 'subscribe', channel: 'order:1' });
    const { subscriptionId } = await socket.ask({ type: 'subscribe', channel: 'secret:1' });
    socket.send({ type: 'auth', token: token() });
    expect(await socket.next()).toMatchObject({ type: 'auth_success', role: 'authenticated' });
    expect(await socket.next()).toEqual({
      type: 'unsubscribed',
      channel: 'secret:1',
      subscriptionId,
      reason: 'not_allowed',
    });
    expect([...server.hub.activeChannels()]).toEqual([{ channel: 'order:1', subscriptions: 1 }]);
    const [group] = server.hub.groups('order:1');
    expect(group?.spec.identity.role).toBe('authenticated');
  });

  it('changes nothing while its subscriptions cannot be judged', async () => {
    let isDown = false;
    const policy = policyOf(async () => {
      if (isDown) throw new Error('the database is down');
      return ALLOWED;
    });
    await using server = await openGateway({ policy });
    const socket = await server.login();
    await socket.ask({ type: 'subscribe', channel: 'order:1' });
    isDown = true;
    const answer = await socket.ask({ type: 'auth', token: token({ role: 'service_role', sub: USER }) });
    expect(answer).toMatchObject({ type: 'error', code: 'unavailable', retryable: true });
    const [connection] = server.hub.connections();
    expect(connection?.identity.role).toBe('authenticated');
    expect(connection?.subscriptions.size).toBe(1);
  });

  it('changes nothing while policies cannot decide, for that is no refusal', async () => {
    let isBusy = false;
    const policy = policyOf(async () =>
      isBusy ? refusal({ code: 'unavailable', message: 'no answer in time' }) : ALLOWED,
    );
    await using server = await openGateway({ policy });
    const socket = await server.login();
    await socket.ask({ type: 'subscribe', channel: 'order:1' });
    isBusy = true;
    expect(await socket.ask({ type: 'auth', token: token() })).toMatchObject({ type: 'error', code: 'unavailable' });
    expect([...server.hub.activeChannels()]).toEqual([{ channel: 'order:1', subscriptions: 1 }]);
  });

  it('tells why each subscription ended', async () => {
    let endReason: EndReason | undefined;
    const policy = policyOf(async () =>
      endReason === undefined ? ALLOWED : refusal({ code: 'channel_unavailable', message: 'no' }, endReason),
    );
    await using server = await openGateway({ policy });
    const socket = await server.login();
    await socket.ask({ type: 'subscribe', channel: 'order:1' });
    endReason = 'channel_disabled';
    await socket.ask({ type: 'auth', token: token() });
    expect(await socket.next()).toMatchObject({ type: 'unsubscribed', reason: 'channel_disabled' });
  });

  it('is judged once more when a review began meanwhile, and given up when reviews never end', async () => {
    let decisions = 0;
    let reviewsToCome = 0;
    const policy = policyOf(async () => {
      decisions += 1;
      if (reviewsToCome > 0) server.reviews.begun += 1;
      reviewsToCome -= 1;
      return ALLOWED;
    });
    await using server = await openGateway({ policy });
    const socket = await server.login();
    await socket.ask({ type: 'subscribe', channel: 'order:1' });
    [decisions, reviewsToCome] = [0, 1];
    expect(await socket.ask({ type: 'auth', token: token() })).toMatchObject({ type: 'auth_success' });
    expect(decisions).toBe(2);
    reviewsToCome = Number.POSITIVE_INFINITY;
    expect(await socket.ask({ type: 'auth', token: token() })).toMatchObject({ type: 'error', code: 'unavailable' });
  });
});

describe('the end of a token', () => {
  it('is announced, and closes 4403 when it comes', async () => {
    await using server = await openGateway({ env: { ROWCAST_EXPIRY_NOTICE: '60s' } });
    const socket = await server.connect();
    const answer = await socket.ask({ type: 'auth', token: token(undefined, 2) });
    expect(await socket.next()).toEqual({ type: 'token_expiring', expiresAt: answer.expiresAt });
    expect(await socket.closed).toEqual({ code: 4403, reason: 'token expired or revoked' });
    expect(Date.now()).toBeGreaterThanOrEqual(Date.parse(answer.expiresAt as string));
    expect(server.hub.connectionCount).toBe(0);
  });

  it('is put off by a renewed one', async () => {
    await using server = await openGateway();
    const socket = await server.login(undefined, 2);
    await socket.frame('token_expiring');
    const answer = await socket.ask({ type: 'auth', token: token(undefined, 33) });
    expect(answer).toMatchObject({ type: 'auth_success' });
    // The notice of the new token comes after the old one would have ended.
    expect(await socket.frame('token_expiring')).toMatchObject({ expiresAt: answer.expiresAt });
    expect(await socket.ask({ type: 'ping' })).toEqual({ type: 'pong' });
  });

  it('may lie beyond what a timer can hold', async () => {
    await using server = await openGateway();
    const socket = await server.login(undefined, 60 * 86_400);
    expect(await socket.ask({ type: 'ping' })).toEqual({ type: 'pong' });
  });
});

describe('a connection without a token', () => {
  const allowed = { ROWCAST_ALLOW_ANON: 'true' };

  it('has the role anon where that is allowed', async () => {
    const seen: string[] = [];
    const policy = policyOf(async (identity) => {
      seen.push(JSON.stringify(identity.claims));
      return refusal({ code: 'channel_unavailable', message: CHANNEL_UNAVAILABLE, detail: 'no' });
    });
    await using server = await openGateway({ env: allowed, policy });
    const socket = await server.connect();
    const answer = await socket.ask({ type: 'subscribe', channel: 'order:1' });
    expect(answer).toMatchObject({ code: 'channel_unavailable', message: CHANNEL_UNAVAILABLE });
    expect(answer).not.toHaveProperty('detail');
    expect(seen).toEqual(['{"role":"anon"}']);
  });

  it('may become somebody', async () => {
    await using server = await openGateway({ env: allowed });
    const socket = await server.connect();
    expect(await socket.ask({ type: 'ping' })).toEqual({ type: 'pong' });
    expect(await socket.ask({ type: 'auth', token: token() })).toMatchObject({ type: 'auth_success', userId: USER });
    const other = token({ role: 'authenticated', sub: OTHER });
    expect(await socket.ask({ type: 'auth', token: other })).toMatchObject({ code: 'identity_changed' });
  });

  it('is let be when it stays silent', async () => {
    await using server = await openGateway({ env: { ...allowed, ROWCAST_AUTH_DEADLINE: '20ms' } });
    const socket = await server.connect();
    while (server.hub.connectionCount === 0) await new Promise((resolve) => setImmediate(resolve));
    expect(await socket.ask({ type: 'ping' })).toEqual({ type: 'pong' });
  });
});
