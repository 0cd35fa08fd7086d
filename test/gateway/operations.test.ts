// Owns the routes for those who run the server, and the one shape of HTTP errors.

import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { openGateway, token } from './open-gateway.ts';

const reasons = [
  { code: 'table_unwatchable', message: 'A table cannot be watched', table: 'public.payroll', detail: 'no key' },
];
const admin = { authorization: `Bearer ${token({ role: 'service_role' })}` };
const user = { authorization: `Bearer ${token()}` };

describe('/livez and /readyz', () => {
  it('answer 200 when all is well', async () => {
    await using server = await openGateway();
    expect(await (await fetch(`${server.http}/livez`)).json()).toEqual({ live: true });
    const ready = await fetch(`${server.http}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([200, { ready: true, reasons: [] }]);
  });

  it('say 503 and why, and name tables to admins alone', async () => {
    await using server = await openGateway({ health: () => ({ ready: false, reasons }) });
    const told = await fetch(`${server.http}/readyz`);
    expect(told.status).toBe(503);
    const { code, message } = reasons[0] as (typeof reasons)[0];
    expect(await told.json()).toEqual({ ready: false, reasons: [{ code, message }] });
    for (const headers of [user, {}]) {
      expect(await (await fetch(`${server.http}/readyz`, { headers })).text()).not.toMatch(/payroll|no key/);
    }
    expect(await (await fetch(`${server.http}/readyz`, { headers: admin })).json()).toEqual({ ready: false, reasons });
    expect((await fetch(`${server.http}/livez`)).status).toBe(200);
  });

  it('refuse a bad token', async () => {
    await using server = await openGateway();
    const response = await fetch(`${server.http}/readyz`, { headers: { authorization: 'Bearer x' } });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
    expect(await response.json()).toEqual({ error: 'bad_token', message: 'Invalid token', statusCode: 401 });
  });
});

describe('/metrics', () => {
  it('is open on loopback, and counts', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    await socket.ask({ type: 'subscribe', channel: 'order:1' });
    await socket.ask({ type: 'subscribe', channel: 'secret:1' });
    await server.connect();
    const response = await fetch(`${server.http}/metrics`);
    expect(response.headers.get('content-type')).toContain('text/plain; version=0.0.4');
    const text = await response.text();
    expect(text).toMatch(/^rowcast_connections 1$/m);
    expect(text).toMatch(/^rowcast_unauthenticated_sockets 1$/m);
    expect(text).toMatch(/^rowcast_subscriptions 1$/m);
    expect(text).toMatch(/^rowcast_frames_received_total\{type="subscribe"\} 2$/m);
    expect(text).toMatch(/^rowcast_error_frames_total\{code="channel_unavailable"\} 1$/m);
    expect(text).not.toContain('order');
  });

  it('is for admins when the request was forwarded by a proxy that is not known', async () => {
    await using server = await openGateway();
    const forwarded = { 'x-forwarded-for': '127.0.0.1' };
    expect((await fetch(`${server.http}/metrics`, { headers: forwarded })).status).toBe(401);
    expect((await fetch(`${server.http}/metrics`, { headers: { ...forwarded, ...user } })).status).toBe(403);
    expect((await fetch(`${server.http}/metrics`, { headers: { ...forwarded, ...admin } })).status).toBe(200);
  });

  it('is closed to the clients of a trusted proxy', async () => {
    await using server = await openGateway({ env: { ROWCAST_TRUST_PROXY: '127.0.0.0/8' } });
    const headers = { 'x-forwarded-for': '203.0.113.9' };
    expect((await fetch(`${server.http}/metrics`, { headers })).status).toBe(401);
    expect((await fetch(`${server.http}/metrics`)).status).toBe(200);
  });
});

describe('/openapi.json', () => {
  it('describes the routes with the schemas that validate them', async () => {
    await using server = await openGateway();
    const document = (await (await fetch(`${server.http}/openapi.json`)).json()) as {
      openapi: string;
      paths: Record<string, Record<string, { responses: Record<string, unknown> }>>;
    };
    expect(document.openapi).toBe('3.1.0');
    const ticket = document.paths['/api/realtime/ticket']?.post;
    expect(JSON.stringify(ticket?.responses['200'])).toContain('expiresAt');
    expect(JSON.stringify(ticket?.responses['401'])).toContain('statusCode');
  });
});

describe('errors', () => {
  it.each([
    ['an unknown path', 'GET', '/nowhere', {}, undefined, 404, 'not_found'],
    ['an unknown method', 'DELETE', '/livez', {}, undefined, 404, 'not_found'],
    ['a path that is none', 'GET', '/%zz', {}, undefined, 400, 'bad_request'],
    ['no token', 'POST', '/api/realtime/ticket', {}, undefined, 401, 'auth_required'],
    ['broken JSON', 'POST', '/api/realtime/ticket', { 'content-type': 'application/json' }, '{', 400, 'bad_request'],
    ['another type', 'POST', '/api/realtime/ticket', { 'content-type': 'text/x' }, 'a', 415, 'unsupported_media_type'],
  ])('for %s have the one shape', async (_what, method, path, headers, body, statusCode, error) => {
    await using server = await openGateway();
    const response = await fetch(server.http + path, { method, headers, ...(body === undefined ? {} : { body }) });
    expect(response.status).toBe(statusCode);
    expect(await response.json()).toEqual({ error, message: expect.any(String), statusCode });
    expect(response.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it('for a body above the limit have it too', async () => {
    await using server = await openGateway({ env: { ROWCAST_MAX_BODY: '1KiB' } });
    const body = JSON.stringify({ pad: 'x'.repeat(2_000) });
    const headers = { ...user, 'content-type': 'application/json' };
    const response = await fetch(`${server.http}/api/realtime/ticket`, { method: 'POST', headers, body });
    expect([response.status, await response.json()]).toEqual([
      413,
      { error: 'payload_too_large', message: expect.any(String), statusCode: 413 },
    ]);
  });

  it('for bytes that are no HTTP have it too', async () => {
    await using server = await openGateway();
    const socket = connect(server.port, '127.0.0.1');
    socket.write('HELLO\r\n\r\n');
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    await new Promise((resolve) => socket.once('close', resolve));
    expect(answer).toMatch(/^HTTP\/1.1 400 /);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ error: 'bad_request', statusCode: 400 });
  });

  it('for too many requests of an address say when to come back; probes are not counted', async () => {
    await using server = await openGateway({ env: { ROWCAST_REQUESTS_PER_MINUTE: '2' } });
    const url = `${server.http}/api/realtime/ticket`;
    for (let n = 0; n < 2; n++) expect((await fetch(url, { method: 'POST', headers: user })).status).toBe(200);
    const response = await fetch(url, { method: 'POST', headers: user });
    expect([response.status, await response.json()]).toMatchObject([429, { error: 'rate_limited' }]);
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(response.headers.get('x-ratelimit-limit')).toBe('2');
    expect((await fetch(`${server.http}/readyz`)).status).toBe(200);
  });
});

it('tickets of one identity are bounded', async () => {
  await using server = await openGateway({ bounds: { ticketsPerIdentity: 1 } });
  const ask = () => fetch(`${server.http}/api/realtime/ticket`, { method: 'POST', headers: user });
  expect((await ask()).status).toBe(200);
  expect((await ask()).status).toBe(429);
  const headers = { authorization: `Bearer ${token({ role: 'authenticated', sub: 'another' })}` };
  expect((await fetch(`${server.http}/api/realtime/ticket`, { method: 'POST', headers })).status).toBe(200);
});
