// Owns writers that keep a table and a channel busy until they are stopped: small transactions, now and then a large
// one, a rollback, updates and deletes, published messages between them, and writes to a table that nobody watches.

import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from 'pg';
import type { TestDatabase } from '../rig/postgres.ts';

export const LOADED_TABLES = `
  create table load (id bigint generated always as identity primary key, writer int, body text);
  create table unwatched (body text);
  select realtime.watch('load');
  insert into realtime.channels (pattern) values ('load:*');`;

/** What is published goes here. */
export const LOADED_CHANNEL = 'load:1';

export type WriteLoad = { stop(): Promise<void> };

/** Starts `writers` writers, each on a connection of its own; `random` decides what they do. */
export async function startWriteLoad(
  database: TestDatabase,
  writers: number,
  random: () => number,
): Promise<WriteLoad> {
  const clients = await Promise.all(Array.from({ length: writers }, () => database.connect()));
  let isStopped = false;
  const working = clients.map(async (client, writer) => {
    while (!isStopped) {
      await writeOnce(client, writer, random);
      await sleep(random() * 20);
    }
    await client.end();
  });
  return {
    stop: async () => {
      isStopped = true;
      await Promise.all(working);
    },
  };
}

async function writeOnce(client: Client, writer: number, random: () => number): Promise<void> {
  const rows = random() < 0.02 ? 300 : 1 + Math.floor(random() * 5);
  await client.query('begin');
  await client.query(`insert into load (writer, body) select $1, repeat('x', 40) from generate_series(1, $2::int)`, [
    writer,
    rows,
  ]);
  const mine = 'id in (select id from load where writer = $1 order by id desc limit 2)';
  if (random() < 0.5) await publish(client, writer, random() < 0.01 ? 200 : 1);
  if (random() < 0.3) await client.query(`update load set body = 'changed' where ${mine}`, [writer]);
  if (random() < 0.1) await client.query(`delete from load where ${mine}`, [writer]);
  if (random() < 0.2) await client.query(`insert into unwatched values (repeat('y', 2000))`);
  await client.query(random() < 0.1 ? 'rollback' : 'commit');
}

function publish(client: Client, writer: number, messages: number): Promise<unknown> {
  return client.query(
    `select realtime.publish($1, 'writer.' || $2, jsonb_build_object('writer', $2::int, 'n', n, 'text', 'ä"\\'))
     from generate_series(1, $3::int) as n`,
    [LOADED_CHANNEL, writer, messages],
  );
}
