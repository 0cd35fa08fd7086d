// A partition that is attached, detached or emptied changes the rows of its root without a change in the WAL: whoever
// is subscribed is told of a gap, and nobody resumes across it.

import { expect, it } from 'vitest';
import { describeDrawnPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { startTestApp, type TestApp } from './test-app.ts';

const PARTED = `
  create table parted (id int primary key, body text) partition by range (id);
  create table parted_1 partition of parted for values from (0) to (100);
  create table later (id int primary key, body text);
  insert into later values (150, 'brought along');
  select realtime.watch('parted');
  create table plain (id int primary key);
  select realtime.watch('plain');`;

describeDrawnPostgres('a partition', (postgres) => {
  it.each([
    ['attached', 'alter table parted attach partition later for values from (100) to (200)'],
    ['emptied', 'truncate parted_1'],
    ['detached', 'alter table parted detach partition parted_1'],
  ])('that is %s is a gap for its subscribers alone', async (_, sql) => {
    await using app = await startTestApp(postgres, { sql: PARTED });
    await known(app);
    const client = await app.client();
    const { position } = await client.subscribe('db:parted');
    await client.subscribe('db:plain');
    await app.database.query(sql);
    const gap = await client.next('gap');
    expect(gap).toMatchObject({ channel: 'db:parted', reason: 'partition_changed' });
    expect(String(gap.to) > String(position)).toBe(true);
    const again = await app.client();
    expect(await again.subscribe('db:parted', { since: position })).toMatchObject({ reason: 'expired' });
    expect(await again.subscribe('db:plain', { since: position })).toMatchObject({ recovered: true });
    expect(client.frames.filter(({ type }) => type === 'gap')).toHaveLength(1);
  });
});

/** Waits until the server has looked at the partitions once. */
function known(app: TestApp): Promise<unknown> {
  const looked = `select from realtime.watched where relation = 'parted' and members is not null`;
  return until(async () => (await app.database.query(looked)).length === 1, { what: 'a look at the partitions' });
}
