// Partitions that come and go under a running stream: every message arrives once and in order, and what is kept is in
// history.

import { expect, it } from 'vitest';
import { describeDrawnPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { ask } from './rest-client.ts';
import { startTestApp, type TestApp } from './test-app.ts';

const ROUNDS = 6;
const TODAY = `(now() at time zone 'UTC')::date`;

describeDrawnPostgres('messages around partitions', (postgres) => {
  const openApp = async (): Promise<TestApp> => {
    const app = await startTestApp(postgres, {
      hasPartitions: false,
      sql: `insert into realtime.channels (pattern) values ('n:*'); create table posts (id int primary key); select realtime.watch('posts')`,
    });
    await until(() => app.logLines.some(({ message }) => message === 'partitions of history changed'));
    return app;
  };
  // The journal may be writing: the lock is tried again.
  const patiently = (app: TestApp, sql: string) =>
    until(async () => (await app.database.query(sql)).length > 0, { what: sql });
  const inOne = (app: TestApp, sql: string) =>
    until(() => app.database.query(`rollback; begin; ${sql} commit`).then(() => true), { what: sql });

  it('arrive, whether their partition was just made, is made with them, was just dropped, or is missing', async () => {
    await using app = await openApp();
    const client = await app.client();
    await client.subscribe('n:1');
    await client.subscribe('db:posts');
    let n = 0;
    const publish = (): string => {
      n += 1;
      return `select realtime.publish('n:1', 'e', '${n}'); insert into posts values (${n});`;
    };
    const drop = (parent: string) => patiently(app, `select realtime.drop_partition('${parent}', ${TODAY})`);
    const make = (parent: string): string => `select realtime.make_partition('${parent}', ${TODAY});`;
    for (let round = 0; round < ROUNDS; round++) {
      await drop('messages');
      await drop('changes');
      await app.database.query(publish());
      await until(
        async () => (await app.database.query('select from realtime.history where position is not null')).length > 0,
      );
      await patiently(
        app,
        `with gone as (delete from realtime.messages returning 1), lost as (delete from realtime.changes returning 1)
        select (select count(*) from gone), (select count(*) from lost)`,
      );
      await app.database.query(`begin; ${make('messages')} select realtime.publish('n:1', 'e', '-1'); rollback`);
      if (round % 2 === 0)
        await app.database.query(`begin; ${publish()} commit; ${make('changes')}`).catch(() => undefined);
      else await inOne(app, `${make('messages')} ${make('changes')} ${publish()}`);
      await app.database.query(`begin; ${publish()} ${publish()} commit`);
    }
    const frames = await client.received(2 * n);
    const numbers = (channel: string): unknown[] =>
      frames
        .filter((frame) => frame.channel === channel)
        .map(({ payload }) => (typeof payload === 'number' ? payload : payload.new?.id));
    const all = Array.from({ length: n }, (_, index) => index + 1);
    expect(numbers('n:1')).toEqual(all);
    expect(numbers('db:posts')).toEqual(all);
    expect(app.app().status().status).toBe('streaming');
  });

  it('arrive and are all in history while other days come and go', async () => {
    await using app = await openApp();
    const client = await app.client();
    await client.subscribe('n:1');
    let isOver = false;
    const publishing = (async () => {
      let n = 0;
      while (!isOver || n < 300) await app.database.query(`select realtime.publish('n:1', 'e', $1)`, [String(++n)]);
      return n;
    })();
    const other = await app.database.connect();
    try {
      for (let round = 0; round < 2 * ROUNDS; round++) {
        for (const parent of ['messages', 'changes']) {
          const day = `${TODAY} - ${30 + round}`;
          await until(() => other.query(`select realtime.make_partition('${parent}', ${day})`));
          await until(() => other.query(`select realtime.drop_partition('${parent}', ${day})`));
        }
      }
    } finally {
      isOver = true;
      await other.end();
    }
    const count = await publishing;
    const frames = await client.received(count);
    const all = Array.from({ length: count }, (_, index) => index + 1);
    expect(frames.map(({ payload }) => payload)).toEqual(all);
    const listed = await until(async () => {
      const { body } = await ask(app, 'GET', '/messages?order=asc&limit=1000');
      return body.length === Math.min(count, 1000) ? body : undefined;
    });
    expect(listed.map(({ payload }: { payload: number }) => payload)).toEqual(all.slice(0, 1000));
    expect((await ask(app, 'GET', '/messages/stats')).body.totalMessages).toBe(count);
  });
});
