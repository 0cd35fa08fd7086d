// The walk that everything else stands on: a committed row reaches a WebSocket client and history.

import { expect, it } from 'vitest';
import { describeDrawnPostgres } from '../rig/postgres.ts';
import { until } from '../rig/until.ts';
import { startTestApp } from './test-app.ts';

const POSTS = `
  create table posts (id int primary key, title text);
  select realtime.watch('posts');`;

describeDrawnPostgres('a committed change', (postgres) => {
  it('reaches a subscriber with its row, position and id', async () => {
    await using app = await startTestApp(postgres, { sql: POSTS });
    const client = await app.client();
    const subscribed = await client.subscribe('db:posts');
    await app.database.query(`insert into posts values (1, 'New Post')`);
    const [change] = await client.received(1);
    expect(change).toMatchObject({
      type: 'message',
      channel: 'db:posts',
      event: 'INSERT',
      payload: { schema: 'public', table: 'posts', eventType: 'INSERT', new: { id: 1, title: 'New Post' }, old: null },
    });
    expect(String(change?.position) > String(subscribed.position)).toBe(true);
    expect(change?.messageId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  });

  it('is in history with the id that SQL computes from its position', async () => {
    await using app = await startTestApp(postgres, { sql: POSTS });
    const client = await app.client();
    await client.subscribe('db:posts');
    await app.database.query(`insert into posts values (1, 'New Post')`);
    const [change] = await client.received(1);
    const row = await until(async () => (await app.database.query('select * from realtime.history'))[0]);
    expect(row).toMatchObject({ id: change?.messageId, position: change?.position, channel_name: 'db:posts' });
  });

  it('that was rolled back reaches nobody', async () => {
    await using app = await startTestApp(postgres, { sql: POSTS });
    const client = await app.client();
    await client.subscribe('db:posts');
    await app.database.query(
      `begin; insert into posts values (1, 'never'); rollback; insert into posts values (2, 'ever')`,
    );
    const [change] = await client.received(1);
    expect(change?.payload.new).toEqual({ id: 2, title: 'ever' });
  });
});
