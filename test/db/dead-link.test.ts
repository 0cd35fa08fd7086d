// Sessions whose other end falls silent, over a real database and a proxy that swallows everything.

import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { answerWithin, DeadLinkError, endWithin } from '../../server/db/dead-link.ts';
import { openPool } from '../../server/db/pools.ts';
import { classifyDatabaseError, mayPass } from '../../server/db/sqlstate.ts';
import { through } from '../faults/proxied-postgres.ts';
import { startTcpProxy, type TcpProxy } from '../faults/tcp-proxy.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { collectingLog } from './migrated.ts';

const PATIENCE_MS = 100;

let proxy: TcpProxy;
beforeAll(async () => {
  const { hostname, port } = new URL(newestPostgres().url);
  proxy = await startTcpProxy({ host: hostname, port: Number(port) });
});
beforeEach(() => proxy.heal());
afterAll(() => proxy[Symbol.asyncDispose]());

it('an answer that comes in time is given', async () => {
  const client = await connected();
  const { rows } = await answerWithin(client, 5_000, client.query('select 1 as one'));
  expect(rows).toEqual([{ one: 1 }]);
  await endWithin(client, 5_000);
});

it('an error that comes in time is given, and the session goes on', async () => {
  const client = await connected();
  await expect(answerWithin(client, 5_000, client.query('select 1/0'))).rejects.toThrow('division by zero');
  expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }]);
  await endWithin(client, 5_000);
});

it('a statement without an answer fails, and so does all that waits behind it', async () => {
  const client = await connected();
  proxy.blackhole('both');
  const behind = answerWithin(client, PATIENCE_MS, client.query('select 1')).catch((error: unknown) => error);
  expect(await behind).toBeInstanceOf(DeadLinkError);
  await expect(client.query('select 2')).rejects.toThrow();
});

it('a session is ended, whether the other end confirms it or not', async () => {
  const client = await connected();
  proxy.blackhole('both');
  await endWithin(client, PATIENCE_MS);
  proxy.heal();
  await until(() => proxy.connections === 0, { what: 'the link to be closed' });
});

it('a pool gives up a statement without an answer, as a failure that may pass, and works again on another link', async () => {
  const log = collectingLog();
  const url = through(proxy, newestPostgres().url);
  const options = { connectionString: url, applicationName: 'dead link', max: 1, statementTimeoutMs: 1_000, log };
  const { pool, close } = openPool({ ...options, answerWithinMs: PATIENCE_MS * 5 });
  await pool.query('select 1');
  proxy.blackhole('both');
  const failure = await pool.query('select 1').catch((error: unknown) => error);
  expect(mayPass(classifyDatabaseError(failure).kind)).toBe(true);
  proxy.heal();
  expect(await until(() => pool.query('select 1 as one').then(({ rows }) => rows))).toEqual([{ one: 1 }]);
  await close();
});

async function connected(): Promise<Client> {
  const client = new Client({ connectionString: through(proxy, newestPostgres().url) });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}
