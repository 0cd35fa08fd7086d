// Row changes for webhooks with a role: judged by the rules of the table before they are sent, told as that role would be
// told, and counted as targets only where it may see them. The requests themselves are sent to a real receiver.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { describeNewestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { ask } from './rest-client.ts';
import { startTestApp, type TestApp } from './test-app.ts';

const ALICE = '00000000-0000-4000-8000-00000000000a';

const SETUP = `
  create table notes (id int primary key, owner text, secret text);
  alter table notes enable row level security;
  alter table notes replica identity full;
  grant select (id, owner) on notes to authenticated;
  create policy own on notes for select to authenticated using (owner = auth.jwt() ->> 'sub');
  select realtime.watch('notes', true)`;

// biome-ignore lint/suspicious/noExplicitAny: JSON of many shapes
type Received = { readonly path: string; readonly event: unknown; readonly body: any };

describeNewestPostgres('row changes for a webhook', (postgres) => {
  let app: TestApp;
  let receiver: Server;
  const received: Received[] = [];

  beforeAll(async () => {
    receiver = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on('data', (part: Buffer) => parts.push(part));
      request.on('end', () => {
        const body = JSON.parse(Buffer.concat(parts).toString());
        received.push({ path: request.url ?? '', event: request.headers['x-rowcast-event'], body });
        response.end();
      });
    });
    await new Promise<void>((resolve) => void receiver.listen(0, '127.0.0.1', resolve));
    app = await startTestApp(postgres, { env: { ROWCAST_WEBHOOK_ALLOW: '127.0.0.0/8' }, sql: SETUP });
    await endpoint('/admin', null, null, null);
    await endpoint('/alice', 'authenticated', { sub: ALICE }, null);
    await endpoint('/deletes', 'authenticated', { sub: ALICE }, ['DELETE']);
    await endpoint('/nobody', 'nobody_known', {}, null);
  });
  afterAll(async () => {
    await app[Symbol.asyncDispose]();
    receiver.closeAllConnections();
    await new Promise((resolve) => receiver.close(resolve));
  });

  const sql = <R extends object = Record<string, unknown>>(text: string, params?: readonly unknown[]): Promise<R[]> =>
    app.database.query<R>(text, params);
  const endpoint = (path: string, role: string | null, claims: object | null, events: string[] | null) =>
    sql(
      `insert into realtime.webhook_endpoints (url, pattern, role, claims, events, ordered)
         values ($1, 'db:*', $2, $3, $4, $2::text is not null)`,
      [`http://127.0.0.1:${(receiver.address() as AddressInfo).port}${path}`, role, claims, events],
    );
  /** Everything journaled is sent or hidden. */
  const settled = async (): Promise<void> => {
    const [fence] = await sql<{ id: number }>(
      `insert into notes (id, owner) select greatest(max(id), 100000) + 1, 'fence' from notes returning id`,
    );
    await until(
      () => sql(`select from realtime.changes where payload -> 'new' ->> 'id' = $1`, [fence?.id]).then(([row]) => row),
      { what: 'the fence in history' },
    );
    await until(
      async () =>
        (await sql(`select from realtime.webhook_deliveries where state in ('unjudged', 'pending', 'leased')`))
          .length === 0,
      { what: 'all deliveries to be sent or hidden' },
    );
  };
  /** What a path got since the last call, without fences. */
  const told = async (path: string): Promise<unknown[]> => {
    await settled();
    const mine = received.filter((request) => request.path === path && request.body.payload.new?.owner !== 'fence');
    for (const request of mine) received.splice(received.indexOf(request), 1);
    return mine.map(({ event, body: { event: inBody, payload } }) => {
      expect(inBody).toBe(event);
      const { new: fresh, old, cause } = payload;
      return { event, ...(fresh && { new: fresh }), ...(old && { old }), ...(cause && { cause }) };
    });
  };

  it('an admin gets every row whole; a role gets those rows and columns that it may see', async () => {
    await sql(`insert into notes values (1, '${ALICE}', 's'), (2, 'bob', 's')`);
    expect(await told('/admin')).toEqual([
      { event: 'INSERT', new: { id: 1, owner: ALICE, secret: 's' } },
      { event: 'INSERT', new: { id: 2, owner: 'bob', secret: 's' } },
    ]);
    expect(await told('/alice')).toEqual([{ event: 'INSERT', new: { id: 1, owner: ALICE } }]);
  });

  it('a row that comes into sight or leaves it is told as an insert or a delete, with its cause', async () => {
    await sql(`update notes set owner = '${ALICE}' where id = 2; update notes set owner = 'bob' where id = 1`);
    expect(await told('/alice')).toEqual([
      { event: 'INSERT', new: { id: 2, owner: ALICE }, cause: 'UPDATE' },
      { event: 'DELETE', old: { id: 1 }, cause: 'UPDATE' },
    ]);
  });

  it('events are chosen as they are delivered', async () => {
    expect(await told('/deletes')).toMatchObject([{ event: 'DELETE', old: { id: 1 } }]);
  });

  it('what is hidden is no target, in the lists and in the statistics', async () => {
    await settled();
    const [rows] = await sql<{ sent: number; listed: number; delivered: number }>(
      `select (select count(*)::int from realtime.webhook_deliveries where state = 'delivered') as sent,
         (select sum(wh_audience_count)::int from realtime.history) as listed,
         (select sum(wh_delivered_count)::int from realtime.history) as delivered`,
    );
    const { body } = await ask(app, 'GET', '/messages/stats');
    expect({ ...rows, whAudience: body.whAudience, whDelivered: body.whDelivered }).toEqual({
      sent: rows?.sent,
      listed: rows?.sent,
      delivered: rows?.sent,
      whAudience: rows?.sent,
      whDelivered: rows?.sent,
    });
    expect(rows?.sent).toBeGreaterThan(0);
  });

  it('a role that no policy is asked for gets nothing, and the delivery says why', async () => {
    await settled();
    expect(received.filter(({ path }) => path === '/nobody')).toEqual([]);
    const [row] = await sql(`select distinct d.state, d.last_error from realtime.webhook_deliveries d
      join realtime.webhook_endpoints e on e.id = d.endpoint_id where e.role = 'nobody_known'`);
    expect(row).toEqual({ state: 'hidden', last_error: 'no policies are asked for the role nobody_known' });
  });

  it('what cannot be judged any more is hidden, says why, and holds up nothing', async () => {
    const lost = await sql<{ id: string }>(
      `insert into realtime.webhook_deliveries (endpoint_id, message_id, source, position, channel_name, event_name,
         message_created_at, state)
       select e.id, gen_random_uuid(), 'changes', '00000001-0000000000000008-00000000', c.name, 'INSERT', now(), 'unjudged'
       from realtime.webhook_endpoints e, (values ('db:notes'), ('db:gone')) c (name) where e.url like '%/alice' returning id`,
    );
    await sql(`insert into notes values (3, '${ALICE}', 's')`);
    expect(await told('/alice')).toEqual([{ event: 'INSERT', new: { id: 3, owner: ALICE } }]);
    const rows = await sql(
      'select channel_name, state, last_error from realtime.webhook_deliveries where id = any ($1) order by 1',
      [lost.map(({ id }) => id)],
    );
    expect(rows).toEqual([
      { channel_name: 'db:gone', state: 'hidden', last_error: 'the table is gone' },
      { channel_name: 'db:notes', state: 'hidden', last_error: 'no longer in history when it was to be judged' },
    ]);
  });

  it('the rows of one transaction come in their order', async () => {
    await sql(
      `insert into notes select i, case when i % 2 = 0 then '${ALICE}' else 'bob' end from generate_series(10001, 10040) i`,
    );
    const got = (await told('/alice')) as { new: { id: number } }[];
    expect(got.map((one) => one.new.id)).toEqual(Array.from({ length: 20 }, (_, i) => 10002 + 2 * i));
  });
});
