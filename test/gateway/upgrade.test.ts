// Owns who is let in before the handshake: pages by their Origin, names by their Host, and what is answered to
// requests that are no upgrade.

import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { isHostTrusted, isOriginAllowed } from '../../server/gateway/origin-check.ts';
import { openGateway, token } from './open-gateway.ts';
import { TestSocket } from './test-socket.ts';

describe('the Origin of a page', () => {
  it.each([
    ['none, as programs have', undefined, 'app.test', [], true],
    ['the same host', 'https://app.test', 'app.test', [], true],
    ['the same host and port', 'http://app.test:8080', 'app.test:8080', [], true],
    ['the same host, default port written out', 'https://app.test', 'app.test:443', [], true],
    ['another port', 'http://app.test:8081', 'app.test:8080', [], false],
    ['another host', 'https://evil.test', 'app.test', [], false],
    ['a longer host', 'https://app.test.evil.test', 'app.test', [], false],
    ['null, as sandboxed pages have', 'null', 'app.test', [], false],
    ['no URL', 'app.test', 'app.test', [], false],
    ['a listed one', 'https://web.test', 'api.test', ['https://web.test'], true],
    ['a listed one with a blank default port', 'https://web.test:443', 'api.test', ['https://web.test'], true],
    ['a listed one by another scheme', 'http://web.test', 'api.test', ['https://web.test'], false],
    ['the same host, where a list does not have it', 'https://api.test', 'api.test', ['https://web.test'], false],
    ['any, where all are allowed', 'https://evil.test', 'api.test', ['*'], true],
    ['the same host, without a Host header', 'https://app.test', undefined, [], false],
  ])('%s', (_what, origin, host, allowedOrigins, expected) => {
    expect(isOriginAllowed({ origin, host, allowedOrigins })).toBe(expected);
  });

  it('that is foreign is refused with 403', async () => {
    await using server = await openGateway();
    const origin = 'https://evil.test';
    await expect(server.connect('', { origin })).rejects.toThrow('403');
    await expect(server.connect(`?token=${token()}`, { origin })).rejects.toThrow('403');
  });

  it('of the same host is let in', async () => {
    await using server = await openGateway();
    await server.connect('', { origin: server.http });
  });
});

describe('the Host of a connection without a token', () => {
  it.each([
    ['localhost', 'localhost:4000', [], true],
    ['an address', '192.168.1.7:4000', [], true],
    ['an IPv6 address', '[::1]:4000', [], true],
    ['the host that is listened on', 'realtime.test', [], true],
    ['a listed origin', 'app.test', ['https://app.test'], true],
    ['a foreign name', 'rebound.evil.test:4000', [], false],
    ['a foreign name, all origins allowed', 'rebound.evil.test', ['*'], false],
    ['none', undefined, [], false],
  ])('%s', (_what, host, allowedOrigins, expected) => {
    expect(isHostTrusted({ host, allowedOrigins }, 'realtime.test')).toBe(expected);
  });

  it('is checked where anonymous connections are allowed', async () => {
    await using server = await openGateway({ env: { ROWCAST_ALLOW_ANON: 'true' } });
    const headers = { host: `rebound.evil.test:${server.port}` };
    await expect(server.connect('', headers)).rejects.toThrow('403');
    await server.connect(`?token=${token()}`, headers);
    await server.connect();
  });
});

describe('what is no upgrade', () => {
  it('is told that /realtime is a WebSocket', async () => {
    await using server = await openGateway();
    const response = await fetch(`${server.http}/realtime`);
    expect(response.status).toBe(426);
    expect(await response.json()).toMatchObject({ error: 'upgrade_required', statusCode: 426 });
  });

  it('and asks for another protocol is answered as if it had not', async () => {
    await using server = await openGateway();
    const request = `GET /livez HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, close\r\nUpgrade: h2c\r\n\r\n`;
    expect(await roundTrip(server.port, request)).toMatch(/^HTTP\/1.1 200 OK/);
  });

  it('cannot be made at another path', async () => {
    await using server = await openGateway();
    const elsewhere = server.url.replace('/realtime', '/livez');
    const socket = new TestSocket(`${elsewhere}?token=${token()}`);
    await expect(socket.opened).rejects.toThrow('404');
  });
});

async function roundTrip(port: number, request: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  socket.write(request);
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
  });
  await new Promise((resolve) => socket.once('close', resolve));
  return answer;
}
