// Owns the demo table of a fresh embedded database: public.posts with the columns of the reference page,
// watched with whole old rows, its channel and rows open to users. Never made in a database that was given.

import type { Pool } from 'pg';

const DEMO = `
  create table public.posts (
    id uuid primary key default pg_catalog.gen_random_uuid(),
    title text not null,
    content text,
    "createdAt" timestamptz not null default pg_catalog.now()
  );
  comment on table public.posts is 'Rowcast''s demo table: drop it when you like.';
  grant select on public.posts to anon, authenticated;
  select realtime.watch('public.posts', full => true);
  create policy demo_posts on realtime.channels for select to anon, authenticated
    using (realtime.channel_name() = 'db:posts');`;

/** Makes and watches the table, in one transaction. */
export async function createDemoTable(pool: Pool): Promise<void> {
  await pool.query(DEMO);
}
