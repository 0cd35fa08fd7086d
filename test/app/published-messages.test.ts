// What is published in SQL, on its way through the WAL: to subscribers, in commit order with row changes, and into
// history. What sockets and REST publish takes the same way.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeDrawnPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { startTestApp, type TestApp } from './test-app.ts';
import type { Frame } from './test-client.ts';

const SETUP = `
  create table orders (id int primary key, status text);
  create table quiet (id int primary key);
  select realtime.watch('orders'), realtime.watch('quiet');
  update realtime.channels set persist = false where pattern = 'db:quiet';
  insert into realtime.channels (pattern) values ('order:*'), ('busy:*');`;

const HISTORY = `
  select id::text, event_name, channel_name, payload, sender_id, ws_audience_count, position,
    to_char(created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US') as created_at
  from realtime.history where channel_name = $1 and position is not null order by position`;

type Row = Readonly<Record<string, unknown>>;

describeDrawnPostgres('a published message', (postgres) => {
  let app: TestApp;

  beforeAll(async () => {
    app = await startTestApp(postgres, { sql: SETUP });
  });
  afterAll(() => app[Symbol.asyncDispose]());

  const publish = (channel: string, event: string, payload: string): Promise<readonly Row[]> =>
    app.database.query('select realtime.publish($1, $2, $3::jsonb)::text as id', [channel, event, payload]);
  const journaled = (channel: string, count: number): Promise<readonly Row[]> =>
    until(async () => {
      const rows = await app.database.query(HISTORY, [channel]);
      return rows.length >= count ? rows : undefined;
    });

  it('reaches a subscriber in the printed form, with its position', async () => {
    const client = await app.client();
    const subscribed = await client.subscribe('order:1');
    const [row] = await publish('order:1', 'order.updated', '{"orderId": "1", "total": 1.50}');
    const message = (await client.received(1))[0] as Frame;
    const { position, timestamp, ...printed } = message;
    expect(printed).toEqual({
      type: 'message',
      messageId: row?.id,
      channel: 'order:1',
      event: 'order.updated',
      payload: { orderId: '1', total: 1.5 },
      senderId: null,
    });
    expect(timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/);
    expect(String(position) > String(subscribed.position)).toBe(true);
  });

  it('is in history with its position, its time and how many it reached', async () => {
    const [one, other] = [await app.client(), await app.client()];
    await one.subscribe('order:2');
    await other.subscribe('order:2');
    await other.subscribe('order:2', { filter: { event: 'another' } });
    await publish('order:2', 'order.created', '[1, "two", null]');
    const [message] = (await one.received(1)) as readonly Frame[];
    const [row] = await journaled('order:2', 1);
    expect(row).toMatchObject({ id: message?.messageId, position: message?.position, ws_audience_count: 2 });
    const printed = String(message?.timestamp).replace('Z', '');
    expect(String(row?.created_at).startsWith(printed)).toBe(true);
  });

  it('arrives in order with the row changes of its transaction, on one connection', async () => {
    const client = await app.client();
    await client.subscribe('db:orders');
    await client.subscribe('order:3');
    await app.database.query(`
      begin;
      insert into orders values (3, 'new');
      select realtime.publish('order:3', 'first', '1');
      update orders set status = 'paid' where id = 3;
      select realtime.publish('order:3', 'second', '2');
      delete from orders where id = 3;
      commit`);
    const messages = (await client.received(5)) as readonly Frame[];
    expect(messages.map(({ event }) => event)).toEqual(['INSERT', 'first', 'UPDATE', 'second', 'DELETE']);
    const positions = messages.map(({ position }) => String(position));
    expect(positions).toEqual([...positions].sort());
  });

  it('of a transaction that is rolled back reaches nobody and no history', async () => {
    const client = await app.client();
    await client.subscribe('order:4');
    await client.subscribe('db:orders');
    await app.database.query(`
      begin; insert into orders values (4, 'never'); select realtime.publish('order:4', 'never', '{}'); rollback`);
    await publish('order:4', 'ever', '{}');
    expect((await client.received(1))[0]).toMatchObject({ event: 'ever' });
    expect(await journaled('order:4', 1)).toMatchObject([{ event_name: 'ever' }]);
  });

  it('of 200 in one statement has its place among them', async () => {
    const client = await app.client();
    await client.subscribe('order:5');
    await app.database.query(`
      insert into realtime.messages (channel_name, event_name, payload)
      select 'order:5', 'n', to_jsonb(n) from generate_series(1, 200) n`);
    const messages = await client.received(200);
    const expected = Array.from({ length: 200 }, (_, index) => index + 1);
    expect(messages.map(({ payload }) => payload)).toEqual(expected);
    expect((await journaled('order:5', 200)).map(({ payload }) => Number(payload))).toEqual(expected);
  });

  it('is left out where the filter names other events', async () => {
    const client = await app.client();
    await client.subscribe('order:6', { filter: { event: ['b', 'c'] } });
    for (const event of ['a', 'b', 'A', 'c']) await publish('order:6', event, '{}');
    expect((await client.received(2)).map(({ event }) => event)).toEqual(['b', 'c']);
  });

  it('of ten publishers has the same place for every subscriber and in history', async () => {
    const clients = [await app.client(), await app.client(), await app.client()];
    for (const client of clients) {
      for (const half of ['busy:0', 'busy:1']) await client.subscribe(half);
    }
    const publishers = Array.from({ length: 10 }, async (_, publisher) => {
      const connection = await app.database.connect();
      for (let batch = 0; batch < 50; batch += 1) {
        await connection.query(
          `select realtime.publish('busy:' || $1::int % 2, 'p' || $1, to_jsonb($2::int * 20 + n)) from generate_series(0, 19) n`,
          [publisher, batch],
        );
      }
      await connection.end();
    });
    await Promise.all(publishers);
    const seen = [];
    for (const client of clients) seen.push(await client.received(10_000, 30_000));
    const order = seen.map((messages) => messages.map(({ messageId }) => messageId));
    expect(order[1]).toEqual(order[0]);
    expect(order[2]).toEqual(order[0]);
    const rows = [...(await journaled('busy:0', 5_000)), ...(await journaled('busy:1', 5_000))];
    rows.sort((a, b) => (String(a.position) < String(b.position) ? -1 : 1));
    expect(rows.map(({ id }) => id)).toEqual(order[0]);
    for (let publisher = 0; publisher < 10; publisher += 1) {
      const own = (seen[0] ?? []).filter(({ event }) => event === `p${publisher}`).map(({ payload }) => payload);
      expect(own).toEqual(Array.from({ length: 1_000 }, (_, index) => index));
    }
  });

  it('survives a restart once: it is not delivered or counted again', async () => {
    await publish('order:7', 'before', '{}');
    const [before] = await journaled('order:7', 1);
    await app.restart();
    await publish('order:7', 'after', '{}');
    const rows = await journaled('order:7', 2);
    expect(rows[0]).toEqual(before);
    expect(rows.map(({ event_name }) => event_name)).toEqual(['before', 'after']);
  });

  it('is counted by minute and hour as history holds it', async () => {
    await journaled('order:7', 2);
    const counted = await app.database.query(`
      select c.width_s, sum(c.message_count)::int as messages, min(c.first_position) as first, max(c.last_position) as last
      from realtime.message_counts c where not is_removed group by 1 order by 1`);
    const [held] = await app.database.query(`
      select count(*)::int as messages, min(position) as first, max(position) as last
      from realtime.history where position is not null`);
    expect(counted).toEqual([
      { width_s: 60, ...held },
      { width_s: 3600, ...held },
    ]);
  });

  it('has no part in the history of a table whose channel is not persisted', async () => {
    const client = await app.client();
    await client.subscribe('db:quiet');
    await app.database.query('insert into quiet values (1)');
    await client.received(1);
    await publish('order:8', 'later', '{}');
    await journaled('order:8', 1);
    expect(await app.database.query(HISTORY, ['db:quiet'])).toEqual([]);
  });
});
