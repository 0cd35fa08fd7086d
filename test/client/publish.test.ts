// Owns publishing by the client: its answer, its refusals, and what it says when nobody knows what became of it.

import { describe, expect, it } from 'vitest';
import { type Client, createClient, RowcastError } from '../../client/rowcast.js';
import type { MessagePublisher } from '../../server/gateway/publish-intake.ts';
import { openGateway, token } from '../gateway/open-gateway.ts';
import { until } from '../rig/until.ts';
import { answering, scriptedServer } from './scripted-server.ts';

const ID = '660e8400-e29b-41d4-a716-446655440000';
const backoff = { initialMs: 5, maxMs: 20 };

function open(url: string): Client & AsyncDisposable {
  const client = createClient(url, { token: token(), backoff });
  client.on('error', () => {});
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() });
}

/** A publisher that keeps what it was given. */
function keeping(): MessagePublisher & { readonly given: object[] } {
  const given: object[] = [];
  return {
    given,
    publish: async (_identity, _connectionId, requests) => {
      given.push(...requests);
      return { ok: true, published: requests.map(() => ({ messageId: ID, isEphemeral: false })) };
    },
  };
}

describe('publishing', () => {
  it('connects if need be, and resolves with the messageId', async () => {
    const publisher = keeping();
    await using server = await openGateway({ publisher });
    await using client = open(server.http);
    expect(await client.publish('order:1', 'made', { n: [1, null] }, { id: ID })).toEqual({ messageId: ID });
    await client.publish('order:1', 'typing');
    expect(publisher.given).toEqual([
      { channel: 'order:1', event: 'made', payload: '{"n":[1,null]}', id: ID },
      { channel: 'order:1', event: 'typing', payload: 'null', id: undefined },
    ]);
  });

  it('happens in the order of the calls', async () => {
    const publisher = keeping();
    await using server = await openGateway({ publisher });
    await using client = open(server.http);
    await Promise.all(Array.from({ length: 50 }, (_, n) => client.publish('order:1', 'n', n)));
    expect(publisher.given.map((each) => (each as { payload: string }).payload)).toEqual(
      Array.from({ length: 50 }, (_, n) => String(n)),
    );
  });

  it.each([
    ['publish_denied', false],
    ['unavailable', true],
  ] as const)('that is refused as %s rejects, and says whether to repeat it', async (code, retryable) => {
    const publisher: MessagePublisher = {
      publish: async () => ({ ok: false, refusal: { code, message: 'no' }, index: 0 }),
    };
    await using server = await openGateway({ publisher });
    await using client = open(server.http);
    const error = await client.publish('order:1', 'made', 1).catch((refusal) => refusal);
    expect(error).toBeInstanceOf(RowcastError);
    expect(error).toMatchObject({ code, message: 'no', retryable });
    expect(client.status).toBe('connected');
  });

  it('whose connection is lost before the answer rejects at once, and is not sent again', async () => {
    const ids: unknown[] = [];
    await using server = await scriptedServer((socket, attempt) => {
      answering(socket, ({ type, id }) => {
        if (type !== 'publish') return;
        ids.push(id);
        if (attempt === 1) socket.terminate();
      });
    });
    await using client = open(server.url);
    const lost = client.publish('order:1', 'made', 1, { id: ID });
    await expect(lost).rejects.toMatchObject({ code: 'disconnected', retryable: true });
    await until(() => server.attempts === 2 && client.status === 'connected');
    expect(ids).toEqual([ID]);
    expect(await client.publish('order:1', 'made', 1, { id: ID })).toEqual({ messageId: 'm' });
    expect(ids).toEqual([ID, ID]);
  });

  it('while the connection is being made again rejects at once', async () => {
    await using server = await scriptedServer((socket) =>
      answering(socket, ({ type }) => type === 'ping' && socket.terminate()),
    );
    const client = createClient(server.url, { token: 'x', backoff: { initialMs: 60_000, maxMs: 60_000 } });
    client.on('error', () => {});
    await client.ping().catch(() => undefined);
    await until(() => client.status === 'waiting');
    await expect(client.publish('order:1', 'made')).rejects.toMatchObject({ code: 'disconnected', retryable: true });
    await client.close();
  });

  it('after the end of the client rejects for good', async () => {
    await using server = await openGateway();
    const client = open(server.http);
    await client.publish('order:1', 'made');
    await client.close();
    await expect(client.publish('order:1', 'made')).rejects.toMatchObject({ code: 'closed', retryable: false });
  });

  it('what is no JSON rejects, and leaves the client as it was', async () => {
    await using server = await openGateway();
    await using client = open(server.http);
    await expect(client.publish('order:1', 'made', 1n)).rejects.toThrow(TypeError);
    await expect(client.publish('order:1', 'made', 1)).resolves.toMatchObject({ messageId: expect.any(String) });
  });
});

it.each([
  [{}, undefined],
  [{ echo: false }, false],
  [{ echo: true }, true],
])('a subscription with %j asks for echo %s', async (options, echo) => {
  const asked: unknown[] = [];
  await using server = await scriptedServer((socket) => {
    answering(socket, (frame) => frame.type === 'subscribe' && asked.push(frame.echo));
  });
  await using client = open(server.url);
  await client.subscribe('order:1', options).ready;
  expect(asked).toEqual([echo]);
});
