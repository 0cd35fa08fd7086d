// Owns the order of stopping: unready, frames in flight answered, 1012 to everybody, then nothing listens.

import { describe, expect, it } from 'vitest';
import { ALLOWED, openGateway, policyOf, token } from './open-gateway.ts';

describe('draining', () => {
  it('is unready at once, lets nobody in, and closes all with 1012', async () => {
    await using server = await openGateway({ env: { ROWCAST_SHUTDOWN_SPREAD: '20ms' } });
    const sockets = [await server.login(), await server.login(), await server.connect()];
    const drained = server.gateway.drain();
    const ready = await fetch(`${server.http}/readyz`);
    expect([ready.status, await ready.json()]).toMatchObject([503, { ready: false, reasons: [{ code: 'draining' }] }]);
    await expect(server.connect(`?token=${token()}`)).rejects.toThrow('503');
    for (const socket of sockets) expect(await socket.closed).toEqual({ code: 1012, reason: 'restarting' });
    await drained;
    expect(server.hub.connectionCount).toBe(0);
  });

  it('answers the frame in flight first', async () => {
    let decide: () => void = () => {};
    let asked: () => void = () => {};
    const isAsked = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const decided = new Promise<void>((resolve) => {
      decide = resolve;
    });
    await using server = await openGateway({
      env: { ROWCAST_SHUTDOWN_SPREAD: '0' },
      policy: policyOf(async () => {
        asked();
        await decided;
        return ALLOWED;
      }),
    });
    const socket = await server.login();
    socket.send({ type: 'subscribe', channel: 'order:1' });
    await isAsked;
    const drained = server.gateway.drain();
    decide();
    expect(await socket.next()).toMatchObject({ type: 'subscribed' });
    expect(await socket.closed).toMatchObject({ code: 1012 });
    await drained;
  });

  it('does not wait for ever for a frame that does not end, nor for a peer that does not answer', async () => {
    await using server = await openGateway({
      env: { ROWCAST_SHUTDOWN_SPREAD: '0', ROWCAST_SHUTDOWN_DRAIN: '50ms' },
      bounds: { closeGraceMs: 60_000 },
      policy: policyOf(() => new Promise(() => {})),
    });
    const [busy, deaf] = [await server.login(), await server.login()];
    busy.send({ type: 'subscribe', channel: 'order:1' });
    deaf.webSocket.pause();
    await server.gateway.drain();
    expect(await busy.closed).toMatchObject({ code: 1012 });
  });

  it('without sockets ends at once', async () => {
    await using server = await openGateway({ env: { ROWCAST_SHUTDOWN_SPREAD: '5m' } });
    await server.gateway.drain();
  });
});

it('closing cuts what is open and frees the port', async () => {
  const server = await openGateway();
  const socket = await server.login();
  await server.gateway.close();
  expect(await socket.closed).toMatchObject({ code: 1006 });
  await expect(fetch(`${server.http}/livez`)).rejects.toThrow();
  server.metrics.close();
});

it('listening on a port that is taken rejects with its code', async () => {
  await using server = await openGateway();
  await expect(openGateway({ env: { PORT: String(server.port) } })).rejects.toMatchObject({ code: 'EADDRINUSE' });
});
