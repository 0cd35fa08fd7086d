// The demo table of a fresh database: users and guests may subscribe to it, and to nothing else.

import { expect, it } from 'vitest';
import { createDemoTable } from '../../scripts/demo-table.ts';
import { startTestApp } from '../app/test-app.ts';
import { openTestPool } from '../db/migrated.ts';
import { describeNewestPostgres } from '../rig/postgres.ts';

describeNewestPostgres('the demo table', (postgres) => {
  it('shows its changes to every role, and opens no other channel', async () => {
    await using app = await startTestApp(postgres, { channels: 'closed' });
    const { pool, close } = openTestPool(app.database.url);
    await createDemoTable(pool).finally(close);
    await app.database.query(`create table public.other (id int primary key);
      grant select on public.other to anon, authenticated; select realtime.watch('public.other')`);
    const clients = await Promise.all(['anon', 'authenticated'].map((role) => app.client(app.token(role))));
    for (const client of clients) {
      await client.subscribe('db:posts');
      await expect(client.subscribe('db:other')).rejects.toThrow('channel_unavailable');
    }
    await app.database.query(`insert into posts (title, content) values ('New Post', 'Hello world')`);
    for (const client of clients) {
      expect((await client.received(1))[0]?.payload.new).toMatchObject({ title: 'New Post', content: 'Hello world' });
    }
  });
});
