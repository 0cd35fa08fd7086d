// Owns the life of a live copy against a server that says what a test wants: snapshot, changes, drops, gaps, failures.

import { describe, expect, it } from 'vitest';
import { createClient } from '../../client/rowcast.js';
import { until } from '../rig/until.ts';
import { type Asked, positionAt, scriptedServer, type Tell } from './scripted-server.ts';
import { backoff, change, fill, type Row, row, scene, subscribes } from './table-scene.ts';

describe('a live copy', () => {
  it('asks for a snapshot of what is wanted, and is ready when it is live', async () => {
    await using it = await scene(
      (_n, tell, { ref }) => {
        tell({ type: 'subscribed', position: positionAt(1), warnings: [{ code: 'w', message: 'careful' }], ref });
        tell({ type: 'snapshot', key: ['id'], rows: [row(2), row(1)], done: false });
        tell({ type: 'snapshot', key: ['id'], rows: [row(3)], done: false });
        tell({ type: 'snapshot', key: ['id'], rows: [], done: true });
        tell(change(2, 'INSERT', row(4), null));
        tell({ type: 'live', position: positionAt(3) });
      },
      { schema: 'audit', where: { title: { like: 'row%' } }, columns: ['title'] },
    );
    expect(it.table.status).toBe('loading');
    await it.table.ready;
    expect(it.asked).toEqual([
      {
        type: 'subscribe',
        channel: 'db:posts',
        filter: { schema: 'audit', where: { title: { like: 'row%' } }, columns: ['title'] },
        snapshot: true,
        ref: expect.any(Number),
      },
    ]);
    expect(it.table.rows).toEqual([2, 1, 3, 4].map((id) => row(id)));
    expect([it.table.size, it.table.get(3), it.table.get(9)]).toEqual([4, row(3), undefined]);
    expect(it.table.warnings).toEqual([{ code: 'w', message: 'careful' }]);
    expect(it.statuses).toEqual(['live']);
    expect(it.changes.map(({ type }) => type)).toEqual(['reset', 'insert']);
  });

  it('follows the changes, and says each', async () => {
    await using it = await scene((_n, tell, { ref }) => fill(tell, ref, 1, [row(1), row(2)]));
    await it.table.ready;
    const before = it.table.rows;
    it.tell(change(2, 'INSERT', row(3), null));
    it.tell(change(3, 'UPDATE', row(1, 'new'), { id: 1 }));
    it.tell(change(4, 'DELETE', null, { id: 2 }, { cause: 'UPDATE' }));
    await until(() => it.changes.length === 4);
    expect(it.table.rows).toEqual([row(1, 'new'), row(3)]);
    expect(it.table.rows).toBe(it.table.rows);
    expect(before).toEqual([row(1), row(2)]);
    expect(it.changes.slice(1)).toEqual([
      { type: 'insert', row: row(3), old: null },
      { type: 'update', row: row(1, 'new'), old: row(1) },
      { type: 'delete', row: null, old: row(2) },
    ]);
    it.tell(change(5, 'TRUNCATE', null, null));
    await until(() => it.table.size === 0);
    expect(it.changes.at(-1)).toEqual({ type: 'truncate', row: null, old: null });
  });

  it('marks the rows of which columns are missing', async () => {
    await using it = await scene((_n, tell, { ref }) => {
      tell({ type: 'subscribed', position: positionAt(1), ref });
      tell({ type: 'snapshot', key: ['id'], rows: [row(1), { id: 2 }], truncated: [1], done: true });
      tell({ type: 'live', position: positionAt(1) });
    });
    await it.table.ready;
    const whole = (): boolean[] => it.table.rows.map((each) => it.table.isWhole(each));
    expect(whole()).toEqual([true, false]);
    it.tell(change(2, 'UPDATE', { id: 1 }, { id: 1 }, { unchanged: ['title'] }));
    it.tell(change(3, 'UPDATE', { id: 2 }, { id: 2 }, { unchanged: ['title'] }));
    it.tell(change(4, 'UPDATE', { id: 3 }, { id: 3 }, { truncated: true }));
    await until(() => it.table.size === 3);
    expect(it.table.rows).toEqual([row(1), { id: 2 }, { id: 3 }]);
    expect(whole()).toEqual([true, false, false]);
  });

  it('stops to listen where it is told to, and a listener that throws stops nobody', async () => {
    await using it = await scene((_n, tell, { ref }) => fill(tell, ref, 1, []));
    await it.table.ready;
    let calls = 0;
    const stop = it.table.onChange(() => {
      calls += 1;
      throw new Error('in the app');
    });
    it.tell(change(2, 'INSERT', row(1), null));
    await until(() => calls === 1 && it.errors.length === 1);
    stop();
    it.tell(change(3, 'INSERT', row(2), null));
    await until(() => it.table.size === 2);
    expect([calls, it.changes.length]).toEqual([1, 3]);
  });

  it('that is closed ends on the server, keeps its rows, and hears no more', async () => {
    await using it = await scene((_n, tell, { ref }) => fill(tell, ref, 1, [row(1)]));
    await it.table.ready;
    await it.table.close();
    it.tell(change(2, 'INSERT', row(2), null));
    await it.client.ping();
    expect([it.table.status, it.table.error, it.table.size]).toEqual(['ended', null, 1]);
    expect(it.asked.at(-1)).toMatchObject({ type: 'unsubscribe', subscriptionId: 's' });
  });
});

describe('after a drop', () => {
  it('a copy that was live asks for what it missed, keeping its rows', async () => {
    await using it = await scene((n, tell, { ref }) => {
      if (n === 1) return fill(tell, ref, 1, [row(1)]);
      tell({ type: 'subscribed', position: positionAt(9), recovered: true, ref });
      tell(change(7, 'INSERT', row(2), null));
      tell({ type: 'live', position: positionAt(9) });
    });
    await it.table.ready;
    it.tell(change(5, 'UPDATE', row(1, 'five'), { id: 1 }));
    await until(() => it.table.get(1)?.title === 'five');
    it.cut();
    await until(() => it.table.size === 2 && it.table.status === 'live');
    expect(subscribes(it).map(({ snapshot, since }) => ({ snapshot, since }))).toEqual([
      { snapshot: true },
      { snapshot: true, since: positionAt(5) },
    ]);
    expect(it.statuses).toEqual(['live', 'stale', 'live']);
    expect(it.changes.filter(({ type }) => type === 'reset')).toHaveLength(1);
  });

  it('a copy that cannot be caught up takes the new rows at once, when all are there', async () => {
    await using it = await scene((n, tell, { ref }) => {
      if (n === 1) return fill(tell, ref, 1, [row(1), row(2)]);
      tell({ type: 'subscribed', position: positionAt(9), recovered: false, reason: 'expired', ref });
      tell({ type: 'snapshot', key: ['id'], rows: [row(3)], done: false });
    });
    await it.table.ready;
    it.cut();
    await until(() => subscribes(it).length === 2);
    await it.client.ping();
    expect([it.table.status, it.table.rows]).toEqual(['stale', [row(1), row(2)]]);
    it.tell({ type: 'snapshot', key: ['id'], rows: [row(4)], done: true });
    it.tell({ type: 'live', position: positionAt(9) });
    await until(() => it.table.status === 'live');
    expect(it.table.rows).toEqual([row(3), row(4)]);
    expect(it.changes.map(({ type }) => type)).toEqual(['reset', 'reset']);
  });

  it.each([
    ['in the middle of its snapshot', false],
    ['between its snapshot and live', true],
  ])('a copy that was cut %s begins anew', async (_when, done) => {
    await using it = await scene((n, tell, { ref }) => {
      if (n > 1) return fill(tell, ref, 9, [row(3)]);
      tell({ type: 'subscribed', position: positionAt(1), ref });
      tell({ type: 'snapshot', key: ['id'], rows: [row(1)], done });
      if (done) tell(change(4, 'INSERT', row(2), null));
      setImmediate(() => it.cut());
    });
    await it.table.ready;
    expect(subscribes(it).map(({ since }) => since)).toEqual([undefined, undefined]);
    expect(it.table.rows).toEqual([row(3)]);
  });

  it('a copy whose second snapshot was cut begins that anew', async () => {
    await using it = await scene((n, tell, { ref }) => {
      if (n !== 2) return fill(tell, ref, n, [row(n)]);
      tell({ type: 'subscribed', position: positionAt(9), recovered: false, reason: 'expired', ref });
      tell({ type: 'snapshot', key: ['id'], rows: [row(2)], done: false });
      setImmediate(() => it.cut());
    });
    await it.table.ready;
    it.cut();
    await until(() => it.table.get(3) !== undefined);
    expect(subscribes(it).map(({ since }) => since)).toEqual([undefined, positionAt(1), undefined]);
    expect(it.table.rows).toEqual([row(3)]);
  });

  it('as another user it takes the rows of that one', async () => {
    let user = 0;
    const server = await scriptedServer((socket) => {
      socket.on('message', (data) => {
        const { type, ref, since } = JSON.parse(data.toString()) as Asked;
        const tell: Tell = (frame) =>
          socket.send(JSON.stringify({ channel: 'db:posts', subscriptionId: 's', ...frame }));
        if (type === 'auth') return tell({ type: 'auth_success', userId: `user ${++user}`, role: 'r', ref });
        if (type !== 'subscribe') return;
        fill(tell, ref, user, [row(user, String(since))]);
        if (user === 1) socket.close(1012);
      });
    });
    const client = createClient(server.url, { token: 'x', backoff });
    const table = client.table<Row>('posts');
    await until(() => table.get(2) !== undefined);
    expect(table.rows).toEqual([row(2, 'undefined')]);
    await client.close();
    await server[Symbol.asyncDispose]();
  });
});

describe('new rows are taken', () => {
  it.each(['epoch_changed', 'partition_changed', 'retention', 'not_judged'])('after a gap (%s)', async (reason) => {
    await using it = await scene((n, tell, { ref }) => fill(tell, ref, n, [row(n)]));
    await it.table.ready;
    it.tell({ type: 'gap', reason, from: positionAt(1), to: positionAt(2) });
    // What still comes under the old id is not part of the rows to come.
    it.tell(change(3, 'INSERT', row(9), null));
    await until(() => it.table.get(2) !== undefined && it.table.status === 'live');
    expect(it.table.rows).toEqual([row(2)]);
    expect(subscribes(it).map(({ since }) => since)).toEqual([undefined, undefined]);
    expect(it.statuses).toEqual(['live', 'stale', 'live']);
  });

  it('when a snapshot fails, and again until one is there', async () => {
    await using it = await scene((n, tell, { ref }) => {
      if (n === 3) return fill(tell, ref, 3, [row(3)]);
      tell({ type: 'subscribed', position: positionAt(n), ref });
      tell({ type: 'snapshot', key: ['id'], rows: [row(n)], done: false });
      tell({ type: 'error', code: 'snapshot_unavailable', message: 'It took too long', retryable: false });
      tell({ type: 'unsubscribed', reason: 'snapshot_failed' });
    });
    await it.table.ready;
    expect(it.table.rows).toEqual([row(3)]);
    expect(it.errors.map(({ code }) => code)).toEqual(['snapshot_unavailable', 'snapshot_unavailable']);
    expect(it.asked.map(({ type }) => type)).toEqual(['subscribe', 'subscribe', 'subscribe']);
  });

  it('when the application asks for it', async () => {
    await using it = await scene((n, tell, { ref }) => fill(tell, ref, n, [row(n)]));
    await it.table.ready;
    it.table.refresh();
    expect(it.table.status).toBe('stale');
    await until(() => it.table.status === 'live');
    expect(it.table.rows).toEqual([row(2)]);
  });

  it('also when the answer to a resume was on its way', async () => {
    await using it = await scene((n, tell, { ref, since }) => {
      if (since === undefined) return fill(tell, ref, n, [row(n)]);
      it.table.refresh();
      tell({ type: 'subscribed', position: positionAt(9), recovered: true, ref });
      tell({ type: 'live', position: positionAt(9) });
    });
    await it.table.ready;
    it.cut();
    await until(() => it.table.status === 'live' && it.table.get(3) !== undefined);
    expect(subscribes(it).map(({ since }) => since)).toEqual([undefined, positionAt(1), undefined]);
  });
});

describe('a copy ends', () => {
  it('when the table is refused, with the reason', async () => {
    await using it = await scene((_n, tell, { ref }) =>
      tell({ type: 'error', code: 'bad_filter', message: 'There is no column x', retryable: false, ref }),
    );
    await expect(it.table.ready).rejects.toMatchObject({ code: 'bad_filter', message: 'There is no column x' });
    expect([it.table.status, it.table.error?.code]).toEqual(['ended', 'bad_filter']);
  });

  it('when the server ends it, keeping its rows', async () => {
    await using it = await scene((_n, tell, { ref }) => fill(tell, ref, 1, [row(1)]));
    await it.table.ready;
    it.tell({ type: 'unsubscribed', reason: 'table_unwatched' });
    await until(() => it.table.status === 'ended');
    expect([it.table.error?.code, it.table.size]).toEqual(['table_unwatched', 1]);
  });

  it('when its rows cannot be told apart', async () => {
    await using it = await scene((_n, tell, { ref }) => fill(tell, ref, 1, [row(1)]), { key: ['secret'] });
    await expect(it.table.ready).rejects.toMatchObject({ code: 'no_key' });
    await until(() => it.asked.at(-1)?.type === 'unsubscribe');
    expect(it.table.status).toBe('ended');
  });

  it('with its client', async () => {
    await using it = await scene((_n, tell, { ref }) => fill(tell, ref, 1, [row(1)]));
    await it.table.ready;
    await it.client.close();
    expect([it.table.status, it.table.error?.code]).toEqual(['ended', 'closed']);
    await expect(it.client.table('others').ready).rejects.toMatchObject({ code: 'closed' });
  });
});
