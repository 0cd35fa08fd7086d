// What outlives a restart: the epoch, and with it every position that a client keeps.

import { expect, it } from 'vitest';
import { describeDrawnPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { startTestApp } from './test-app.ts';

describeDrawnPostgres('a restart of the server', (postgres) => {
  it('keeps the epoch, and positions go on growing', async () => {
    await using app = await startTestApp(postgres, {
      sql: `create table posts (id int primary key); select realtime.watch('posts')`,
    });
    const before = await app.client();
    await before.subscribe('db:posts');
    await app.database.query('insert into posts values (1)');
    const [first] = await before.received(1);
    await before.close();
    await app.restart();
    const after = await app.client();
    await until(() => after.subscribe('db:posts'), { what: 'the subscription after the restart' });
    await app.database.query('insert into posts values (2)');
    const [second] = await after.received(1);
    expect(second?.position.slice(0, 8)).toBe(first?.position.slice(0, 8));
    expect(String(second?.position) > String(first?.position)).toBe(true);
  });
});
