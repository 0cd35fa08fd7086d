// Cut connections to a living database: whoever stayed connected hears of it, and gets every change once and
// in order; history holds each once.

import { expect, it, vi } from 'vitest';
import { Translator } from '../../server/changes/translator.ts';
import { startTestApp, type TestApp } from '../app/test-app.ts';
import type { TestClient } from '../app/test-client.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { figure } from '../rig/scale.ts';
import { until } from '../rig/until.ts';

const POSTS = `create table posts (id int primary key, title text); select realtime.watch('posts')`;
const QUICK = { ROWCAST_RECONNECT_INITIAL: '20ms' };

/** The stream waits for the journal, so that a transaction takes its time. */
const SLOW_JOURNAL = { ROWCAST_MAX_AHEAD: '256KiB', ROWCAST_JOURNAL_ROWS: '300' };

/** Ends the stream's connection, and says whether there was one. */
const CUT_STREAM = `
  select pg_terminate_backend(active_pid) as cut from pg_replication_slots where slot_name = $1 and active`;
const CUT_JOURNAL = `
  select pg_terminate_backend(pid) as cut from pg_stat_activity
  where datname = current_database() and application_name = 'rowcast journal' and $1::text is not null`;

it.each([
  ['stream', CUT_STREAM],
  ['journal', CUT_JOURNAL],
])('loses and repeats nothing when the connection of the %s is cut again and again', async (what, cutSql) => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS, env: QUICK });
  const client = await app.client();
  await client.subscribe('db:posts');
  const writer = keepWriting(app);
  for (let cut = 1; cut <= 4; cut++) {
    const seen = client.changes().length;
    await until(() => client.changes().length > seen + 20, { what: 'changes to flow' });
    await cutConnection(app, cutSql);
    await until(() => system(client, 'stalled') === cut, { what: 'to hear of the cut' });
    await until(() => system(client, 'streaming') === cut, { what: 'to hear of its end' });
  }
  const rows = await writer.stop();
  await expectEachOnce(client, rows);
  await expectHistory(app, rows);
  expect(client.frames.filter(({ type }) => type === 'gap')).toEqual([]);
  figure(`reconnect: 4 cuts of the ${what} during ${rows} rows, each came once`);
});

it.each([
  ['stream', CUT_STREAM],
  ['journal', CUT_JOURNAL],
])('goes on in the middle of a large transaction when the %s is cut', async (what, cutSql) => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS, env: { ...QUICK, ...SLOW_JOURNAL } });
  const client = await app.client();
  await client.subscribe('db:posts');
  const rows = 60_000;
  await app.database.query(`insert into posts select n, 'New Post' from generate_series(1, ${rows}) as n`);
  await until(() => client.changes().length > 500, { what: 'the transaction to arrive', everyMs: 1 });
  await cutConnection(app, cutSql);
  await until(() => system(client, 'stalled') > 0, { what: 'to hear of the cut' });
  const cutAfter = client.changes().length;
  expect(cutAfter).toBeLessThan(rows);
  await expectEachOnce(client, rows);
  await expectHistory(app, rows);
  figure(`reconnect: the ${what} was cut when ${cutAfter} of ${rows} changes of a transaction had come`);
});

it('goes on in the same epoch after a failure of its own', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS, env: QUICK });
  const client = await app.client();
  await client.subscribe('db:posts');
  const translate = vi.spyOn(Translator.prototype, 'translate').mockRejectedValueOnce(new Error('planted'));
  await app.database.query(`insert into posts select n, 'New Post' from generate_series(1, 10) as n`);
  await expectEachOnce(client, 10);
  translate.mockRestore();
  expect(client.frames.filter(({ type }) => type === 'gap')).toEqual([]);
});

it('survives the end of the journal while a policy is waited for', async () => {
  const slow = `
    alter table posts enable row level security;
    grant select on posts to authenticated;
    create policy slow on posts for select to authenticated using (pg_sleep(0.7) is not null)`;
  await using app = await startTestApp(newestPostgres(), { sql: `${POSTS}; ${slow}`, env: QUICK });
  const client = await app.client(app.token('authenticated'));
  await client.subscribe('db:posts');
  await app.database.query(`insert into posts values (1, 'New Post')`);
  const judging = `
    select from pg_stat_activity
    where datname = current_database() and application_name = 'rowcast judging' and state = 'active'`;
  await until(async () => (await app.database.query(judging)).length > 0, { what: 'the policy to be asked' });
  await cutConnection(app, CUT_JOURNAL);
  await until(() => system(client, 'streaming') > 0, { what: 'the stream to flow again' });
  await expectEachOnce(client, 1);
  await expectHistory(app, 1);
});

async function cutConnection(app: TestApp, sql: string): Promise<void> {
  await until(async () => (await app.database.query(sql, [app.database.slot])).length === 1, {
    what: 'a connection to cut',
  });
}

/** Writes one row a transaction until it is stopped; `stop` returns how many. */
function keepWriting(app: TestApp): { stop(): Promise<number> } {
  let isStopped = false;
  const writing = (async (): Promise<number> => {
    for (let id = 1; ; id++) {
      await app.database.query(`insert into posts values ($1, 'New Post')`, [id]);
      if (isStopped) return id;
    }
  })();
  return {
    stop: () => {
      isStopped = true;
      return writing;
    },
  };
}

function system(client: TestClient, status: string): number {
  return client.frames.filter((frame) => frame.type === 'system' && frame.status === status).length;
}

async function expectEachOnce(client: TestClient, rows: number): Promise<void> {
  const changes = await client.received(rows, 30_000);
  expect(changes.map(({ payload }) => payload.new?.id)).toEqual(Array.from({ length: rows }, (_, index) => index + 1));
  const positions = changes.map(({ position }) => position);
  expect(positions.findIndex((position, index) => index > 0 && position <= (positions[index - 1] as string))).toBe(-1);
}

async function expectHistory(app: TestApp, rows: number): Promise<void> {
  const count = 'select count(*)::int as n from realtime.changes';
  await until(async () => (await app.database.query<{ n: number }>(count))[0]?.n === rows, { what: 'history' });
  const disorder = `
    select count(*)::int as n from (
      select (payload -> 'new' ->> 'id')::int as id, row_number() over (order by position) as place from realtime.changes
    ) as c where id <> place`;
  expect(await app.database.query(disorder)).toEqual([{ n: 0 }]);
}
