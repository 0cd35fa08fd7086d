// Owns what the client does about each way in which a connection ends, and about servers that fall silent.

import { describe, expect, it } from 'vitest';
import { reactionTo } from '../../client/lib/close-rules.js';
import { createClient, type RowcastError } from '../../client/rowcast.js';
import { CLOSE_CODES } from '../../server/protocol/close-codes.ts';
import { until } from '../rig/until.ts';
import { answering, scriptedServer } from './scripted-server.ts';

const backoff = { initialMs: 1, maxMs: 5 };

it('the rules are those of the protocol', () => {
  for (const { code, reaction } of Object.values(CLOSE_CODES)) expect(reactionTo(code)).toBe(reaction);
});

describe('after a close', () => {
  it.each([1000, 1001, 1006, 1011, 1012, 4408, 4490, 4999])('with %i the client comes back', async (code) => {
    await using server = await scriptedServer((socket, attempt) => {
      answering(socket);
      if (attempt === 1) end(socket, code);
    });
    const client = createClient(server.url, { token: 'x', backoff });
    client.on('error', () => {});
    await until(() => client.connect().then(() => server.attempts === 2 && client.status === 'connected'));
    await client.close();
  });

  it.each([4400, 4413, 1002, 1007, 1009])('with %i it gives up and says why', async (code) => {
    await using server = await scriptedServer((socket) => {
      answering(socket, ({ type }) => type === 'subscribe' && socket.close(code, 'because'));
    });
    const client = createClient(server.url, { token: () => 'x', backoff });
    const failed = new Promise<RowcastError>((resolve) => client.on('error', resolve));
    const posts = client.subscribe('db:posts');
    expect(await failed).toMatchObject({ code: 'gave_up', message: expect.stringContaining(`${code}: because`) });
    expect(client.status).toBe('closed');
    await expect(posts.ready).rejects.toMatchObject({ code: expect.toBeOneOf(['gave_up', 'disconnected']) });
    expect(server.attempts).toBe(1);
    await client.close();
  });

  it.each([4401, 4403])('with %i it asks for another token first', async (code) => {
    const tokens: unknown[] = [];
    await using server = await scriptedServer((socket, attempt) => {
      answering(socket, (frame) => {
        if (frame.type === 'auth') tokens.push(frame.token);
        if (attempt === 1) socket.close(code);
      });
    });
    let calls = 0;
    const client = createClient(server.url, { token: () => `token ${++calls}`, backoff });
    client.on('error', () => {});
    await client.connect();
    await until(() => tokens.length === 2);
    expect(tokens).toEqual(['token 1', 'token 2']);
    await client.close();
  });

  it('with 4429 it waits longer than its backoff', async () => {
    await using server = await scriptedServer((socket, attempt) => {
      answering(socket);
      if (attempt === 1) end(socket, 4429);
    });
    const startedAt = performance.now();
    const client = createClient(server.url, { token: 'x', backoff, tooManyFramesWaitMs: 150 });
    await until(() => client.connect().then(() => server.attempts === 2));
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(145);
    await client.close();
  });
});

describe('a server that falls silent', () => {
  it('is asked, and left when it does not answer', async () => {
    const asked: unknown[] = [];
    await using server = await scriptedServer((socket, attempt) => {
      if (attempt > 1) return answering(socket);
      socket.on('message', (data) => {
        const frame = JSON.parse(data.toString());
        asked.push(frame.type);
        if (frame.type === 'auth') socket.send(JSON.stringify({ type: 'auth_success', ref: frame.ref }));
      });
    });
    const client = createClient(server.url, { token: 'x', backoff, idleMs: 30, pongTimeoutMs: 30 });
    await client.connect();
    await until(() => server.attempts === 2 && client.status === 'connected');
    expect(asked).toEqual(['auth', 'ping']);
    await client.close();
  });

  it('but answers is kept', async () => {
    let pings = 0;
    await using server = await scriptedServer((socket) => {
      answering(socket, ({ type }) => {
        if (type === 'ping') pings += 1;
      });
    });
    const client = createClient(server.url, { token: 'x', backoff, idleMs: 15, pongTimeoutMs: 5_000 });
    await client.connect();
    await until(() => pings >= 3);
    expect(server.attempts).toBe(1);
    await client.close();
  });

  it('before it answers auth is left in time', async () => {
    await using server = await scriptedServer((socket, attempt) => {
      if (attempt > 1) answering(socket);
    });
    const client = createClient(server.url, { token: 'x', backoff, connectTimeoutMs: 40 });
    await client.connect();
    expect(server.attempts).toBe(2);
    await client.close();
  });
});

describe('replays', () => {
  it('move the position with each message, and only `live` moves it to the end', async () => {
    const position = (lsn: number): string => `00000001-${lsn.toString(16).padStart(16, '0')}-00000000`;
    const sinces: unknown[] = [];
    await using server = await scriptedServer((socket, attempt) => {
      socket.on('message', (data) => {
        const { type, ref, since } = JSON.parse(data.toString());
        const send = (frame: object): void =>
          socket.send(JSON.stringify({ channel: 'c', subscriptionId: 's', ...frame }));
        if (type === 'auth') return send({ type: 'auth_success', ref });
        if (type === 'ping') return send({ type: 'pong', ref });
        sinces.push(since);
        if (attempt === 1) {
          send({ type: 'subscribed', position: position(9), recovered: true, ref });
          send({ type: 'message', event: 'e', payload: 1, position: position(5) });
          // The connection is lost in the middle of the replay.
          return socket.close(1012);
        }
        send({ type: 'subscribed', position: position(9), recovered: true, ref });
        send({ type: 'message', event: 'e', payload: 2, position: position(5) });
        send({ type: 'message', event: 'e', payload: 3, position: position(7) });
        send({ type: 'live', position: position(9) });
      });
    });
    const client = createClient(server.url, { token: 'x', backoff });
    const got: unknown[] = [];
    const statuses: string[] = [];
    const subscription = client.subscribe('c', {
      since: position(4),
      onMessage: ({ payload }) => got.push(payload),
      onStatus: ({ type }) => statuses.push(type),
    });
    await until(() => statuses.at(-1) === 'live');
    expect(sinces).toEqual([position(4), position(5)]);
    expect(got).toEqual([1, 3]);
    expect(statuses).toEqual(['subscribed', 'disconnected', 'subscribed', 'live']);
    expect(subscription.position).toBe(position(9));
    await client.close();
  });
});

function end(socket: import('ws').WebSocket, code: number): void {
  // 1006 is what a cut connection looks like; nobody may send it.
  if (code === 1006) setTimeout(() => socket.terminate(), 20);
  else setTimeout(() => socket.close(code), 20);
}
