// Owns a history of any size for a bench: messages and changes in turns over eight days, written by a few large statements,
// with the counts that the journal would have written. Twenty channels of many names, ten events, ten thousand senders.

import type { BenchDatabase } from './bench-database.ts';

export const HISTORY_DAYS = 8;
const ROWS_AT_ONCE = 1_000_000;
const CHANNELS = 20;
const TABLES = 10;

const FIRST_DAY = `date_trunc('day', now(), 'UTC') - interval '${HISTORY_DAYS} days'`;
const timeOf = (rows: number): string => `${FIRST_DAY} + n * interval '1 day' * ${HISTORY_DAYS} / ${rows}`;
const POSITION = `'65a00000-' || lpad(to_hex(n::bigint * 64), 16, '0') || '-00000000'`;

// A message began a little before it was committed.
const messagesOf = (rows: number): string => `
  insert into realtime.messages (id, channel_id, channel_name, event_name, payload, sender_type, sender_id, position,
    ws_audience_count, created_at)
  select gen_random_uuid(), c.ids[1 + (n / 2) % ${CHANNELS}], 'ch' || (n / 2) % ${CHANNELS} || ':' || (n / 40) % 5000,
    'event.' || (n / 14) % 10, jsonb_build_object('n', n, 'text', repeat('x', 100)), 'user', 'user-' || (n::bigint * 7919) % 10000,
    ${POSITION}, n % 5, ${timeOf(rows)} - (n % 100) * interval '10 ms'
  from generate_series($1::int, $2::int, 2) n,
    (select array_agg(h.id order by h.id) as ids from realtime.channels h where h.pattern like 'ch%') c`;
const changesOf = (rows: number): string => `
  insert into realtime.changes (position, committed_at, xid, relation, op, payload, ws_audience_count)
  select ${POSITION}, ${timeOf(rows)}, '1', 't' || (n / 2) % ${TABLES}, (array['INSERT', 'UPDATE', 'DELETE', 'UPDATE'])[1 + (n / 20) % 4],
    jsonb_build_object('table', 't' || (n / 2) % ${TABLES}, 'new', jsonb_build_object('id', n, 'note', repeat('y', 100))), n % 5
  from generate_series($1::int + 1, $2::int, 2) n`;

const COUNT = `
  insert into realtime.message_counts (width_s, bucket, source, channel_key, event_name, message_count, first_position, last_position)
  select w.width_s, date_bin(make_interval(secs => w.width_s), h.at, 'epoch'), h.source, h.channel_key, h.event_name, count(*),
    min(h.position), max(h.position)
  from (
    select 'messages' as source, m.created_at as at, m.channel_id::text as channel_key, m.event_name, m.position from realtime.messages m
    union all
    select 'changes', c.committed_at, c.relation, c.op, c.position from realtime.changes c) h, (values (60), (3600)) w (width_s)
  group by 1, 2, 3, 4, 5
  order by 1, 2, 3, 4, 5`;

/** Fills a migrated database that no server serves yet. */
export async function fillHistory(database: BenchDatabase, rows: number): Promise<void> {
  await prepare(database);
  for (let first = 0; first < rows; first += ROWS_AT_ONCE) {
    const span = [first, Math.min(first + ROWS_AT_ONCE, rows) - 1];
    await database.query(messagesOf(rows), span);
    await database.query(changesOf(rows), span);
  }
  await database.query('alter table realtime.messages enable trigger messages_admit');
  await database.query(COUNT);
  await database.query('vacuum analyze realtime.messages, realtime.changes, realtime.message_counts');
}

async function prepare(database: BenchDatabase): Promise<void> {
  await database.query('update realtime.settings set retention_days = null');
  await database.query(
    `insert into realtime.channels (pattern) select 'ch' || i || ':*' from generate_series(0, ${CHANNELS - 1}) i`,
  );
  for (let i = 0; i < TABLES; i++)
    await database.query(`create table t${i} (id int primary key); select realtime.watch('t${i}')`);
  await database.query(`select realtime.make_partition(p, (now() at time zone 'UTC')::date - d)
    from unnest('{messages,changes}'::text[]) p, generate_series(0, ${HISTORY_DAYS}) d`);
  // The rows are settled already, and their time is not now.
  await database.query('alter table realtime.messages disable trigger messages_admit');
}
