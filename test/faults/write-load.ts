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

/** Writes something inside a transaction that is open on `client`. */
export type Writing = (client: Client, writer: number, random: () => number) => Promise<void>;

export type WriteLoadOptions = {
  /** Default: `writeLoad`. */
  readonly write?: Writing | undefined;
  /** The longest pause behind a transaction. Default 20 ms. */
  readonly pauseMs?: number | undefined;
};

/** Starts `writers` writers, each on a connection of its own; `random` decides what they do. */
export async function startWriteLoad(
  database: TestDatabase,
  writers: number,
  random: () => number,
  { write = writeLoad, pauseMs = 20 }: WriteLoadOptions = {},
): Promise<WriteLoad> {
  let isStopped = false;
  const keepWriting = async (writer: number): Promise<void> => {
    while (!isStopped)
      await writeUntilCut(
        database,
        () => isStopped,
        (client) => transaction(client, writer),
      );
  };
  const transaction = async (client: Client, writer: number): Promise<void> => {
    await client.query('begin');
    await write(client, writer, random);
    await client.query(random() < 0.1 ? 'rollback' : 'commit');
    await sleep(random() * pauseMs);
  };
  const working = Array.from({ length: writers }, (_, writer) => keepWriting(writer));
  return {
    stop: async () => {
      isStopped = true;
      await Promise.all(working);
    },
  };
}

// A connection that is cut is made again, also while the database is down; anything else is a mistake of the test.
async function writeUntilCut(
  database: TestDatabase,
  isStopped: () => boolean,
  transaction: (client: Client) => Promise<void>,
): Promise<void> {
  const client = await database.connect().catch(async (error: Error) => {
    if (!isCut(error)) throw error;
    await sleep(50);
    return undefined;
  });
  try {
    while (client !== undefined && !isStopped()) await transaction(client);
  } catch (error) {
    if (!isCut(error as Error)) throw error;
  } finally {
    await client?.end().catch(() => undefined);
  }
}

/** Errors of the link have no SQLSTATE; those of a database that stops, starts or ends a session are of class 57. */
function isCut(error: Error & { code?: string }): boolean {
  return !/^[0-9A-Z]{5}$/.test(error.code ?? '') || /^(57|08)/.test(error.code ?? '');
}

/** What the table and the channel of the load get. */
export async function writeLoad(client: Client, writer: number, random: () => number): Promise<void> {
  const rows = random() < 0.02 ? 300 : 1 + Math.floor(random() * 5);
  await client.query(`insert into load (writer, body) select $1, repeat('x', 40) from generate_series(1, $2::int)`, [
    writer,
    rows,
  ]);
  const mine = 'id in (select id from load where writer = $1 order by id desc limit 2)';
  if (random() < 0.5) await publish(client, writer, random() < 0.01 ? 200 : 1);
  if (random() < 0.3) await client.query(`update load set body = 'changed' where ${mine}`, [writer]);
  if (random() < 0.1) await client.query(`delete from load where ${mine}`, [writer]);
  if (random() < 0.2) await client.query(`insert into unwatched values (repeat('y', 2000))`);
}

function publish(client: Client, writer: number, messages: number): Promise<unknown> {
  return client.query(
    `select realtime.publish($1, 'writer.' || $2, jsonb_build_object('writer', $2::int, 'n', n, 'text', 'ä"\\'))
     from generate_series(1, $3::int) as n`,
    [LOADED_CHANNEL, writer, messages],
  );
}
