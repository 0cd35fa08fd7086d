// The baseline of the case `history`: the same rows in one table with the indexes that such a table usually has, read by the
// SQL that is usually written: newest first by time, pages by offset, statistics by count(*). From this process, without HTTP.

import type { BenchDatabase } from '../bench-database.ts';

export const FLAT = 'bench_history';

export async function makeFlatHistory(database: BenchDatabase): Promise<void> {
  await database.query(`create table ${FLAT} as
    select m.id, m.event_name, m.channel_id, m.channel_name, m.payload, m.sender_type, m.sender_id, m.created_at, m.position
    from realtime.messages m
    union all
    select gen_random_uuid(), c.op, k.id, 'db:' || c.relation, c.payload, 'system', null, c.committed_at, c.position
    from realtime.changes c left join realtime.channels k on k.pattern = 'db:' || c.relation`);
  for (const columns of ['created_at', 'channel_id', 'channel_name', 'event_name', 'sender_id']) {
    await database.query(`create index on ${FLAT} (${columns})`);
  }
  await database.query(`vacuum analyze ${FLAT}`);
}

export const flatPage = (where: string, offset = 0): string =>
  `select id, event_name, channel_id, channel_name, payload::text, sender_type, sender_id, created_at from ${FLAT}
   where ${where} order by created_at desc limit 100 offset ${offset}`;

export const flatStats = (where: string): string =>
  `select event_name, count(*)::int as count from ${FLAT} where ${where} group by event_name order by 2 desc`;
