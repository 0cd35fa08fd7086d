// Owns the bounds of a socket: sizes, rates, numbers, silence, slow readers. Each closes with its own code and
// leaves the hub empty.

import { connect, type Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { Authenticator, AuthVerdict } from '../../server/auth/authenticator.ts';
import { anonymousIdentity } from '../../server/auth/make-identity.ts';
import { textFrame } from '../../server/protocol/websocket-frame.ts';
import { until } from '../rig/until.ts';
import { ALLOWED, openGateway, policyOf, token } from './open-gateway.ts';

describe('the size of a frame', () => {
  it('may reach 64 KiB, and 8 KiB before authentication', async () => {
    await using server = await openGateway();
    const socket = await server.connect();
    socket.sendText(padded({ type: 'ping' }, 8 * 1024));
    expect(await socket.next()).toMatchObject({ code: 'auth_required' });
    await socket.ask({ type: 'auth', token: token() });
    socket.sendText(padded({ type: 'ping' }, 64 * 1024));
    expect(await socket.next()).toEqual({ type: 'pong' });
  });

  it.each([
    ['above 64 KiB closes 4413', 64 * 1024 + 1, 4413],
    ['above 1 MiB closes 1009', 1024 * 1024 + 1, 1009],
  ])('%s', async (_what, size, code) => {
    await using server = await openGateway();
    const socket = await server.login();
    socket.sendText(padded({ type: 'ping' }, size));
    expect(await socket.closed).toMatchObject({ code });
    await until(() => server.hub.connectionCount === 0);
  });

  it('above 8 KiB closes 4413 before authentication', async () => {
    await using server = await openGateway();
    const socket = await server.connect();
    socket.sendText(padded({ type: 'ping' }, 8 * 1024 + 1));
    expect(await socket.closed).toMatchObject({ code: 4413 });
  });

  it('is judged in its turn: a large frame right behind auth is in order', async () => {
    await using server = await openGateway();
    const socket = await server.connect();
    socket.send({ type: 'auth', token: token() });
    socket.sendText(padded({ type: 'ping' }, 32 * 1024));
    await socket.frame('auth_success');
    expect(await socket.next()).toEqual({ type: 'pong' });
  });

  it('is bounded while it is still incomplete, before authentication', async () => {
    await using server = await openGateway();
    const socket = await server.connect();
    // A megabyte in fragments that never end.
    socket.webSocket.send('{', { fin: false });
    for (let n = 0; n < 16; n++) socket.webSocket.send(' '.repeat(64 * 1024), { fin: false });
    expect(await socket.closed).toMatchObject({ code: 4413 });
  });
});

describe('bad frames', () => {
  it('are answered, and repeat ref', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    for (const frame of [{ type: 'nope', ref: 7 }, { ref: 7 }, { type: 'ping', extra: 1, ref: 7 }]) {
      expect(await socket.ask(frame)).toMatchObject({ type: 'error', code: 'bad_frame', ref: 7 });
    }
  });

  it('close 4400 when there are too many', async () => {
    await using server = await openGateway({ bounds: { badFrames: 3 } });
    const socket = await server.login();
    for (let n = 0; n < 4; n++) {
      socket.sendText('}');
      expect(await socket.next()).toMatchObject({ type: 'error', code: 'bad_frame' });
    }
    expect(await socket.closed).toMatchObject({ code: 4400 });
  });

  it('may be binary, and count the same', async () => {
    await using server = await openGateway({ bounds: { badFrames: 1 } });
    const socket = await server.login();
    socket.webSocket.send(Buffer.from('{"type":"ping"}'));
    expect(await socket.next()).toMatchObject({ type: 'error', code: 'bad_frame' });
    socket.webSocket.send(Buffer.alloc(3));
    expect(await socket.closed).toMatchObject({ code: 4400 });
  });

  it('of the WebSocket protocol itself close by its rules', async () => {
    await using server = await openGateway();
    const socket = await server.login();
    // Text that is not UTF-8.
    socket.webSocket.send(Buffer.from([0xff, 0xfe]), { binary: false });
    expect(await socket.closed).toMatchObject({ code: 1007 });
    await until(() => server.hub.connectionCount === 0);
  });
});

describe('the rate of frames', () => {
  it('may burst to twice the limit, then closes 4429', async () => {
    await using server = await openGateway({ env: { ROWCAST_MAX_FRAMES_PER_SECOND: '5' } });
    const socket = await server.login();
    for (let n = 0; n < 9; n++) expect(await socket.ask({ type: 'ping' })).toEqual({ type: 'pong' });
    for (let n = 0; n < 5; n++) socket.send({ type: 'ping' });
    expect(await socket.closed).toMatchObject({ code: 4429, reason: 'too many frames' });
  });

  it('counts pings of the WebSocket protocol too', async () => {
    await using server = await openGateway({ env: { ROWCAST_MAX_FRAMES_PER_SECOND: '5' } });
    const socket = await server.login();
    for (let n = 0; n < 20; n++) socket.webSocket.ping();
    expect(await socket.closed).toMatchObject({ code: 4429 });
  });

  it('has no limit where rate limits are off, and every frame is answered in order', async () => {
    await using server = await openGateway({ env: { ROWCAST_RATE_LIMIT: 'off' } });
    const socket = await server.login();
    for (let ref = 0; ref < 2_000; ref++) socket.send({ type: 'ping', ref });
    for (let ref = 0; ref < 2_000; ref++) expect(await socket.next()).toEqual({ type: 'pong', ref });
  });
});

it('stops reading a socket whose frames pile up, and answers all of them in the end', async () => {
  let decide: () => void = () => {};
  const decided = new Promise<void>((resolve) => {
    decide = resolve;
  });
  await using server = await openGateway({
    env: { ROWCAST_RATE_LIMIT: 'off' },
    bounds: { pendingFrames: 4 },
    policy: policyOf(() => decided.then(() => ALLOWED)),
  });
  const socket = await server.login();
  socket.send({ type: 'subscribe', channel: 'order:1' });
  const count = 300;
  // Enough to fill what the kernel holds for a socket that is not read.
  for (let ref = 0; ref < count; ref++) socket.sendText(padded({ type: 'ping', ref }, 60 * 1024));
  await until(() => socket.webSocket.bufferedAmount > 0);
  decide();
  await socket.frame('subscribed');
  for (let ref = 0; ref < count; ref++) expect(await socket.next()).toEqual({ type: 'pong', ref });
});

describe('sockets that have not authenticated', () => {
  it('are limited per address, and make room when they authenticate or go', async () => {
    await using server = await openGateway({ env: { ROWCAST_MAX_UNAUTHENTICATED_PER_ADDRESS: '2' } });
    const [first, second] = [await server.connect(), await server.connect()];
    await expect(server.connect()).rejects.toThrow('429');
    await first.ask({ type: 'auth', token: token() });
    const third = await server.connect();
    await expect(server.connect()).rejects.toThrow('429');
    second.terminate();
    third.webSocket.close();
    await Promise.all([second.closed, third.closed]);
    await until(() => server.connect());
  });

  it('are limited in all', async () => {
    await using server = await openGateway({ env: { ROWCAST_MAX_UNAUTHENTICATED: '1' } });
    await server.connect();
    await expect(server.connect()).rejects.toThrow('503');
  });

  it('do not count where a credential came with the upgrade', async () => {
    await using server = await openGateway({ env: { ROWCAST_MAX_UNAUTHENTICATED: '1' } });
    const authorization = `Bearer ${token()}`;
    for (let n = 0; n < 3; n++) await server.connect('', { authorization });
    await until(() => server.hub.connectionCount === 3);
  });

  it('give back their place when they go while their token is being looked at', async () => {
    let looked: () => void = () => {};
    let answer: () => void = () => {};
    const isLookedAt = new Promise<void>((resolve) => {
      looked = resolve;
    });
    const verdict = new Promise<AuthVerdict>((resolve) => {
      answer = () => resolve({ ok: true, identity: anonymousIdentity('authenticated') });
    });
    const authenticator: Authenticator = {
      authenticate: () => {
        looked();
        return verdict;
      },
    };
    const env = { ROWCAST_MAX_UNAUTHENTICATED_PER_ADDRESS: '1' };
    await using server = await openGateway({ env, authenticator });
    const socket = rawUpgrade(server.port, '?token=x');
    await isLookedAt;
    await expect(server.connect()).rejects.toThrow('429');
    socket.destroy();
    answer();
    await until(() => server.connect());
    await until(() => server.hub.connectionCount === 0);
  });

  it('give back their place when the handshake is wrong', async () => {
    await using server = await openGateway({ env: { ROWCAST_MAX_UNAUTHENTICATED_PER_ADDRESS: '1' } });
    for (let n = 0; n < 3; n++) {
      const socket = rawUpgrade(server.port, '', 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: short\r\n');
      expect((await readToEnd(socket)).toString()).toMatch(/^HTTP\/1.1 400 /);
    }
    await server.connect();
  });

  it('give back their place when the upgrade is refused', async () => {
    await using server = await openGateway({ env: { ROWCAST_MAX_UNAUTHENTICATED_PER_ADDRESS: '1' } });
    for (let n = 0; n < 3; n++) await expect(server.connect('?token=x')).rejects.toThrow('401');
    await server.connect();
  });
});

describe('a silent peer', () => {
  const quick = { ROWCAST_PING_INTERVAL: '40ms', ROWCAST_PONG_TIMEOUT: '40ms' };

  it('that answers no ping is closed 4408', async () => {
    await using server = await openGateway({ env: quick, bounds: { closeGraceMs: 50 } });
    const socket = rawUpgrade(server.port, `?token=${token()}`);
    const bytes = await readToEnd(socket);
    // A ping, and in the end a close frame with 4408.
    expect(bytes.includes(Buffer.from([0x89, 0x00]))).toBe(true);
    expect(bytes.includes(Buffer.from([4408 >> 8, 4408 & 0xff]))).toBe(true);
    expect(server.hub.connectionCount).toBe(0);
  });

  it('that answers is kept', async () => {
    await using server = await openGateway({ env: quick });
    const socket = await server.login();
    let pings = 0;
    socket.webSocket.on('ping', () => {
      pings += 1;
    });
    await until(() => pings >= 4);
    expect(await socket.ask({ type: 'ping' })).toEqual({ type: 'pong' });
  });
});

describe('a slow reader', () => {
  const env = { ROWCAST_MAX_QUEUED: '64KiB', ROWCAST_MAX_QUEUED_TIME: '50ms' };
  const bounds = { slowReaderCheckMs: 20, closeGraceMs: 100 };

  it('is closed 4490 and leaves the hub, while others go on', async () => {
    await using server = await openGateway({ env, bounds });
    const stalled = await server.login();
    const healthy = await server.login();
    for (const socket of [stalled, healthy]) await socket.ask({ type: 'subscribe', channel: 'order:1' });
    stalled.webSocket.pause();
    const bytes = textFrame(JSON.stringify({ type: 'message', channel: 'order:1', pad: 'x'.repeat(60_000) }));
    let sent = 0;
    await until(async () => {
      for (const group of server.hub.groups('order:1')) server.hub.deliver(group, bytes);
      server.hub.flush();
      sent += 1;
      await until(() => healthy.frames.length >= sent + 2);
      return server.hub.connectionCount === 1;
    });
    stalled.webSocket.resume();
    expect(await stalled.closed).toMatchObject({ code: expect.toBeOneOf([4490, 1006]) });
    expect(healthy.frames.filter((frame) => frame.type === 'message')).toHaveLength(sent);
    expect(await server.metrics.text()).toContain('rowcast_slow_readers_total 1');
  });

  it('is closed 4490 with the code on the wire, if it reads on within the grace', async () => {
    await using server = await openGateway({ env, bounds: { ...bounds, closeGraceMs: 5_000 } });
    const socket = await server.login();
    await socket.ask({ type: 'subscribe', channel: 'order:1' });
    socket.webSocket.pause();
    const bytes = textFrame(JSON.stringify({ type: 'message', pad: 'x'.repeat(60_000) }));
    await until(() => {
      for (const group of server.hub.groups('order:1')) server.hub.deliver(group, bytes);
      server.hub.flush();
      return server.hub.connectionCount === 0;
    });
    socket.webSocket.resume();
    expect(await socket.closed).toEqual({ code: 4490, reason: 'reader too slow' });
  });

  it('is found by its unread replies too, when nothing is delivered', async () => {
    await using server = await openGateway({ env: { ...env, ROWCAST_RATE_LIMIT: 'off' }, bounds });
    const socket = await server.login();
    socket.webSocket.pause();
    const long = `x${'y'.repeat(62)}`;
    await until(async () => {
      for (let n = 0; n < 2_000; n++) socket.send({ type: 'ping', ref: long });
      await new Promise((resolve) => setImmediate(resolve));
      return server.hub.connectionCount === 0;
    });
    socket.terminate();
  });
});

it('the hub is told once of the end of a connection, whatever ends it', async () => {
  const env = { ROWCAST_PING_INTERVAL: '5m' };
  await using server = await openGateway({ env, bounds: { badFrames: 0 } });
  const told: string[] = [];
  const disconnect = server.hub.disconnect.bind(server.hub);
  server.hub.disconnect = (connection) => {
    told.push(connection.id);
    disconnect(connection);
  };
  const ends: ((socket: Awaited<ReturnType<typeof server.login>>) => void)[] = [
    (socket) => socket.webSocket.close(),
    (socket) => socket.terminate(),
    (socket) => socket.sendText('}'),
    (socket) => socket.sendText(padded({}, 70_000)),
  ];
  for (const end of ends) {
    const socket = await server.login();
    end(socket);
    await socket.closed;
    await until(() => server.hub.connectionCount === 0);
  }
  expect(told).toHaveLength(ends.length);
  expect(new Set(told).size).toBe(ends.length);
});

/** A frame of exactly `size` bytes, padded with blanks. */
function padded(frame: object, size: number): string {
  return JSON.stringify(frame).padEnd(size, ' ');
}

const HANDSHAKE = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';

/** A WebSocket that never answers anything. */
function rawUpgrade(port: number, query: string, handshake = HANDSHAKE): Socket {
  const socket = connect(port, '127.0.0.1');
  socket.write(
    `GET /realtime${query} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
      `${handshake}\r\n`,
  );
  return socket;
}

async function readToEnd(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('close', resolve));
  return Buffer.concat(chunks);
}
