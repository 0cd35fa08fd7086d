// A baseline: a plain server of the usual kind. A trigger writes each change into a table of messages and
// notifies with its id; the server fetches the message by one SELECT, and sends it to every client with
// JSON.stringify and ws.send. No policies, no history beyond that table, no order, no recovery.

import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { type WebSocket, WebSocketServer } from 'ws';
import { answerCalls } from '../processes/answer-calls.ts';
import type { ServerAddress } from '../processes/receive-order.ts';

const POOL_SIZE = 10;

const SCHEMA = `
  create table notify_messages (
    id bigint generated always as identity primary key, channel text not null, event text not null,
    payload jsonb not null, created_at timestamptz not null default now());
  create function notify_change() returns trigger language plpgsql as $$
  declare message_id bigint;
  begin
    insert into notify_messages (channel, event, payload)
    values ('db:' || tg_table_name, tg_op, jsonb_build_object('schema', tg_table_schema, 'table', tg_table_name,
      'commit_timestamp', now(), 'eventType', tg_op, 'new', to_jsonb(new), 'old', null))
    returning id into message_id;
    perform pg_notify('notify_messages', message_id::text);
    return null;
  end $$;
  create trigger notify_change after insert on bench_rows for each row execute function notify_change()`;

type Running = { readonly listener: pg.Client; readonly pool: pg.Pool; readonly sockets: WebSocketServer };

let running: Running | undefined;

async function serve({ databaseUrl }: { readonly databaseUrl: string }): Promise<ServerAddress> {
  const listener = new pg.Client({ connectionString: databaseUrl });
  const pool = new pg.Pool({ connectionString: databaseUrl, max: POOL_SIZE });
  const sockets = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false });
  const clients = new Set<WebSocket>();
  sockets.on('connection', (client) => {
    clients.add(client);
    client.on('close', () => clients.delete(client));
  });
  await new Promise((resolve) => sockets.once('listening', resolve));
  await listener.connect();
  await listener.query(SCHEMA);
  listener.on('notification', ({ payload }) => void deliver(pool, clients, payload as string));
  await listener.query('listen notify_messages');
  running = { listener, pool, sockets };
  return { port: (sockets.address() as AddressInfo).port, path: '/' };
}

async function deliver(pool: pg.Pool, clients: ReadonlySet<WebSocket>, id: string): Promise<void> {
  const { rows } = await pool.query('select channel, event, payload, created_at from notify_messages where id = $1', [
    id,
  ]);
  const { channel, event, payload, created_at: timestamp } = rows[0];
  for (const client of clients) {
    client.send(JSON.stringify({ type: 'message', channel, event, payload, messageId: id, timestamp }));
  }
}

async function stop(): Promise<void> {
  running?.sockets.close();
  for (const client of running?.sockets.clients ?? []) client.terminate();
  await running?.listener.end();
  await running?.pool.end();
}

answerCalls({ serve, stop });
