// Links that are half open: the database is silent, and nothing is closed. It is noticed in time on every kind of
// connection, nothing hangs for ever, and once the link is back every change comes, once.

import { expect, it } from 'vitest';
import { ask } from '../app/rest-client.ts';
import { startTestApp, type TestApp, untilStreaming } from '../app/test-app.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { figure, scaled } from '../rig/scale.ts';
import { until } from '../rig/until.ts';
import { startProxied } from './proxied-postgres.ts';

const WAL_SENDER_TIMEOUT_MS = 2_000;
const SETUP = `
  create table posts (id serial primary key, title text);
  select realtime.watch('posts');
  do $$ begin
    execute format('alter database %I set wal_sender_timeout = ${WAL_SENDER_TIMEOUT_MS}', current_database());
  end $$`;
const INSERT = `insert into posts (title) values ('New Post')`;
const QUICK = { ROWCAST_CONNECT_TIMEOUT: '500ms', ROWCAST_STATEMENT_TIMEOUT: '1s', ROWCAST_RECONNECT_MAX: '500ms' };
/** What a statement of a pool may take, and the slack for the database to cancel it. */
const POOL_MS = 1_000 + 5_000;

const CASES = [
  ['both directions', 'both', true],
  ['what the database says', 'toClient', true],
  ['what the server says, while nobody writes', 'toServer', false],
] as const;

it.each(CASES.slice(0, scaled(1, CASES.length)))(
  'notices in time that the link has lost %s, and goes on where it was',
  async (what, direction, isBusy) => {
    await using proxied = await startProxied(newestPostgres());
    await using app = await startTestApp(proxied.postgres, { sql: SETUP, env: QUICK });
    const client = await app.client();
    await client.subscribe('db:posts');
    await app.database.query(INSERT);
    await client.received(1);
    proxied.proxy.blackhole(direction);
    const silentAt = performance.now();
    const answer = ask(app, 'GET', '/channels');
    // The journal is in the middle of its work.
    if (isBusy) await app.database.query(INSERT);
    await until(() => app.app().status().status === 'stalled', { what: 'the silence to be noticed' });
    const noticedMs = performance.now() - silentAt;
    const { status } = await answer;
    const answeredMs = performance.now() - silentAt;
    proxied.proxy.heal();
    await untilStreaming(app);
    await app.database.query(INSERT);
    const ids = Array.from({ length: isBusy ? 3 : 2 }, (_, index) => index + 1);
    const changes = await client.received(ids.length);
    figure(
      `half open (${what}): noticed after ${Math.round(noticedMs)} ms, a request was answered after ${Math.round(answeredMs)} ms`,
    );
    expect(changes.map(({ payload }) => payload.new?.id)).toEqual(ids);
    expect(status).toBe(503);
    expect(noticedMs).toBeLessThan(2 * WAL_SENDER_TIMEOUT_MS);
    expect(answeredMs).toBeLessThan(POOL_MS + 1_000);
    await expectHistory(app, ids);
    expect(app.logLines.filter(({ message }) => message === 'a new epoch begins')).toHaveLength(1);
  },
);

async function expectHistory({ database }: TestApp, ids: readonly number[]): Promise<void> {
  const journaled = async (): Promise<number[]> =>
    (
      await database.query<{ id: number }>(
        `select (payload -> 'new' ->> 'id')::int as id from realtime.changes order by position`,
      )
    ).map(({ id }) => id);
  await until(async () => (await journaled()).length >= ids.length, { what: 'history' });
  expect(await journaled()).toEqual(ids);
}
