// Publications that somebody changed by hand: what a stream cannot notice, the looks at the catalogue do. Nothing
// is missed without a word.

import { expect, it } from 'vitest';
import { startTestApp, type TestApp } from '../app/test-app.ts';
import { newestPostgres } from '../rig/postgres.ts';
import { scaled } from '../rig/scale.ts';
import { until } from '../rig/until.ts';

const POSTS = `create table posts (id serial primary key, title text); select realtime.watch('posts')`;
const ENV = { ROWCAST_SLOT_WATCH: '50ms', ROWCAST_RECONNECT_MAX: '200ms' };

const DROPPED = [
  // The stream itself would go on: it sends what is in the new one, which is nothing.
  ['dropped and made again', 'drop publication rowcast; create publication rowcast'],
  ['dropped', 'drop publication rowcast'],
] as const;

it.each(DROPPED.slice(0, scaled(1, DROPPED.length)))(
  'a publication that was %s is whole again, and a new epoch is told',
  async (_, sql) => {
    await using app = await startTestApp(newestPostgres(), { sql: POSTS, env: ENV });
    const client = await app.client();
    await client.subscribe('db:posts');
    await app.database.query(sql);
    expect(await client.next('gap')).toMatchObject({ reason: 'epoch_changed' });
    await until(() => app.app().status().status === 'streaming');
    await expectToWork(app);
    expect(epochs(app)).toEqual(['first_start', 'publications_changed']);
  },
);

it('a table that was taken out ends its subscriptions with a word, and is put back', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS, env: ENV });
  const client = await app.client();
  await client.subscribe('db:posts');
  await app.database.query('alter publication rowcast drop table posts');
  expect(await client.next('unsubscribed')).toMatchObject({ channel: 'db:posts', reason: 'table_unwatched' });
  await until(async () => (await app.database.query(CARRIED)).length === 1, { what: 'the table to be put back' });
  await expectToWork(app);
  expect(epochs(app)).toEqual(['first_start']);
});

it('a row filter in a publication is reported', async () => {
  await using app = await startTestApp(newestPostgres(), { sql: POSTS, env: ENV });
  await app.database.query('alter publication rowcast set table posts where (id > 5)');
  const told = () => app.logLines.find(({ message }) => message.startsWith('a table has a row filter'));
  const line = await until(told, { what: 'the filter to be reported' });
  expect(line).toMatchObject({ level: 'warn', fields: { narrowed: 'posts in rowcast' } });
});

const CARRIED = `select from pg_publication_tables where pubname = 'rowcast' and tablename = 'posts'`;

async function expectToWork(app: TestApp): Promise<void> {
  const client = await app.client();
  await client.subscribe('db:posts');
  await app.database.query(`insert into posts (title) values ('New Post')`);
  await client.received(1);
}

function epochs({ logLines }: TestApp): unknown[] {
  return logLines.filter(({ message }) => message === 'a new epoch begins').map(({ fields }) => fields.reason);
}
