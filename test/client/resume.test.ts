// Owns what the client makes of a subscription that missed something: what it asks for, what it hands on, and
// when it says that something may be missing.

import { describe, expect, it } from 'vitest';
import { type Client, createClient, type SubscriptionStatus } from '../../client/rowcast.js';
import { until } from '../rig/until.ts';
import { type Asked, positionAt, type Script, scriptedServer, subscribable, type Tell } from './scripted-server.ts';

const backoff = { initialMs: 1, maxMs: 5 };

/** One subscription of a client, and what the server was asked and the application was told. */
type Scene = AsyncDisposable & {
  readonly client: Client;
  readonly asked: Asked[];
  readonly got: unknown[];
  readonly statuses: SubscriptionStatus[];
  readonly position: () => string | null;
};

/** `onAsked` answers the nth `subscribe`, counted from 1. */
async function scene(onAsked: (n: number, tell: Tell, frame: Asked) => void, more?: Script): Promise<Scene> {
  const asked: Asked[] = [];
  let subscribes = 0;
  const server = await scriptedServer((socket, attempt) => {
    subscribable(socket, (frame, tell) => {
      asked.push(frame);
      if (frame.type === 'subscribe') onAsked(++subscribes, tell, frame);
    });
    more?.(socket, attempt);
  });
  const client = createClient(server.url, { token: 'x', backoff });
  const got: unknown[] = [];
  const statuses: SubscriptionStatus[] = [];
  const subscription = client.subscribe('c', {
    onMessage: ({ payload }) => got.push(payload),
    onStatus: (status) => statuses.push(status),
  });
  return {
    client,
    asked,
    got,
    statuses,
    position: () => subscription.position,
    [Symbol.asyncDispose]: async () => {
      await client.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

function message(lsn: number, payload: unknown, epoch = 1): Record<string, unknown> {
  return { type: 'message', event: 'e', payload, position: positionAt(lsn, epoch) };
}

const sinces = ({ asked }: Scene): unknown[] =>
  asked.filter(({ type }) => type === 'subscribe').map(({ since }) => since);
const types = ({ statuses }: Scene): string[] => statuses.map(({ type }) => type);

describe('a replay', () => {
  it('that is cut again and again goes on where it was, and hands on each message once', async () => {
    let sockets: import('ws').WebSocket | undefined;
    await using it = await scene(
      (n, tell, { ref }) => {
        if (n === 1) {
          tell({ type: 'subscribed', position: positionAt(1), ref });
          sockets?.close(1012);
          return;
        }
        tell({ type: 'subscribed', position: positionAt(50), recovered: true, ref });
        // Each replay repeats the message before, as after a crash, and brings one more.
        tell(message(n - 1, n - 1));
        tell(message(n, n));
        if (n < 6) sockets?.close([4408, 4490, 1012, 1006 + 5][n % 4]);
        else tell({ type: 'live', position: positionAt(50) });
      },
      (socket) => {
        sockets = socket;
      },
    );
    await until(() => it.statuses.at(-1)?.type === 'live');
    expect(sinces(it)).toEqual([undefined, ...[1, 2, 3, 4, 5].map((lsn) => positionAt(lsn))]);
    expect(it.got).toEqual([2, 3, 4, 5, 6]);
    expect(it.position()).toBe(positionAt(50));
    expect(types(it)).not.toContain('gap');
  });

  it('from a server that stands behind what was seen drops what it sends again', async () => {
    let sockets: import('ws').WebSocket | undefined;
    await using it = await scene(
      (n, tell, { ref }) => {
        tell({ type: 'subscribed', position: positionAt(1), ...(n > 1 && { recovered: true }), ref });
        if (n === 1) {
          tell(message(5, 'five'));
          return sockets?.close(1012);
        }
        tell({ type: 'live', position: positionAt(3) });
        for (const lsn of [4, 5, 6]) tell(message(lsn, lsn));
      },
      (socket) => {
        sockets = socket;
      },
    );
    await until(() => it.position() === positionAt(6));
    expect(it.got).toEqual(['five', 6]);
  });

  it('does not skip ahead when a gap of what is sent to others is told meanwhile', async () => {
    let sockets: import('ws').WebSocket | undefined;
    await using it = await scene(
      (n, tell, { ref }) => {
        tell({ type: 'subscribed', position: positionAt(n === 1 ? 1 : 50), ...(n > 1 && { recovered: true }), ref });
        if (n === 1) return sockets?.close(1012);
        tell({ type: 'gap', reason: 'not_judged', from: positionAt(50), to: positionAt(60) });
        tell(message(5, 'five'));
        tell({ type: 'live', position: positionAt(60) });
      },
      (socket) => {
        sockets = socket;
      },
    );
    await until(() => it.statuses.at(-1)?.type === 'live');
    expect(it.got).toEqual(['five']);
    expect(types(it)).toEqual(['subscribed', 'disconnected', 'subscribed', 'gap', 'live']);
  });
});

it('a replay in which the epoch ended goes on in the new one, wherever its positions lie', async () => {
  let sockets: import('ws').WebSocket | undefined;
  await using it = await scene(
    (n, tell, { ref }) => {
      tell({ type: 'subscribed', position: positionAt(1, 7), ...(n > 1 && { recovered: true }), ref });
      if (n === 1) return sockets?.close(1012);
      tell({ type: 'gap', reason: 'epoch_changed', from: positionAt(9, 7), to: positionAt(1, 2) });
      tell(message(5, 'before', 7));
      tell({ type: 'live', position: positionAt(1, 2) });
      tell(message(2, 'after', 2));
    },
    (socket) => {
      sockets = socket;
    },
  );
  await until(() => it.got.includes('after'));
  expect(it.got).toEqual(['before', 'after']);
  expect(it.position()).toBe(positionAt(2, 2));
});

describe('what cannot be recovered', () => {
  it.each([
    ['epoch_changed', positionAt(2, 1)],
    ['unknown', positionAt(2, 7)],
  ])('is told (%s), and the messages that follow are no duplicates, even behind what was seen', async (reason, to) => {
    let sockets: import('ws').WebSocket | undefined;
    await using it = await scene(
      (n, tell, { ref }) => {
        if (n === 1) {
          tell({ type: 'subscribed', position: positionAt(90, 7), ref });
          return sockets?.close(1012);
        }
        tell({ type: 'subscribed', position: to, recovered: false, reason, ref });
        tell({ type: 'live', position: to });
        tell({ ...message(0, 'after'), position: to.replace(/0{8}$/, '00000001') });
      },
      (socket) => {
        sockets = socket;
      },
    );
    await until(() => it.got.length > 0);
    expect(it.got).toEqual(['after']);
    expect(it.statuses.filter(({ type }) => type === 'gap')).toEqual([
      { type: 'gap', reason, from: positionAt(90, 7), to },
    ]);
  });
});

describe('a gap', () => {
  it('of a new epoch is told, and goes on from there, wherever its positions lie', async () => {
    await using it = await scene((_n, tell, { ref }) => {
      tell({ type: 'subscribed', position: positionAt(90, 7), ref });
      tell({ type: 'gap', reason: 'epoch_changed', from: positionAt(90, 7), to: positionAt(1, 2) });
      tell(message(2, 'after', 2));
    });
    await until(() => it.got.length > 0);
    expect(it.got).toEqual(['after']);
    expect(types(it)).toEqual(['subscribed', 'gap']);
    expect(it.position()).toBe(positionAt(2, 2));
  });

  it('made to save the server is closed by asking again from the last message, and is not one', async () => {
    await using it = await scene((n, tell, { ref }) => {
      if (n === 1) {
        tell({ type: 'subscribed', position: positionAt(1), ref });
        tell(message(5, 5));
        tell({ type: 'gap', reason: 'wal_fuse', from: positionAt(6), to: positionAt(20) });
        // Live already, but what lies before it is missing.
        return tell(message(21, 'too early'));
      }
      tell({ type: 'subscribed', position: positionAt(21), recovered: true, ref });
      for (const lsn of [7, 21]) tell(message(lsn, lsn));
      tell({ type: 'live', position: positionAt(21) });
      tell(message(22, 22));
    });
    await until(() => it.got.includes(22));
    expect(it.got).toEqual([5, 7, 21, 22]);
    expect(types(it)).toEqual(['subscribed', 'behind', 'subscribed', 'live']);
    expect(it.asked.map(({ type, since, subscriptionId }) => ({ type, since, subscriptionId }))).toEqual([
      { type: 'subscribe' },
      { type: 'unsubscribe', subscriptionId: 's' },
      { type: 'subscribe', since: positionAt(5) },
    ]);
  });

  it('made to save the server that history does not close is told', async () => {
    await using it = await scene((n, tell, { ref }) => {
      const recovery = n === 1 ? {} : { recovered: false, reason: 'not_persisted' };
      tell({ type: 'subscribed', position: positionAt(n === 1 ? 1 : 20), ...recovery, ref });
      tell({ type: 'gap', reason: 'wal_fuse', from: positionAt(6), to: positionAt(20) });
    });
    await until(() => it.statuses.some(({ type }) => type === 'gap'));
    expect(it.statuses.find(({ type }) => type === 'gap')).toEqual({
      type: 'gap',
      reason: 'not_persisted',
      from: positionAt(1),
      to: positionAt(20),
    });
  });
});

it('what a standby refuses is asked for again as soon as it streams', async () => {
  const startedAt = performance.now();
  let stream: Tell | undefined;
  await using it = await scene((n, tell, { ref }) => {
    stream = tell;
    if (n > 4) return tell({ type: 'subscribed', position: positionAt(1), ref });
    tell({ type: 'error', code: 'unavailable', message: 'a standby', retryable: true, ref });
  });
  it.client.on('error', () => stream?.({ type: 'system', status: 'streaming', lagBytes: 0, since: 'now' }));
  await until(() => it.statuses.length > 0);
  expect(it.statuses).toMatchObject([{ type: 'subscribed' }]);
  // Its waits alone would have come to 3.75 seconds at least.
  expect(performance.now() - startedAt).toBeLessThan(3_000);
});
