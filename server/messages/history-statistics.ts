// Owns the statistics of history: counts that agree with the lists to the message. How they are made is
// realtime.message_stats().

import type { Pool } from 'pg';
import { must } from '../lib/assert.ts';
import type { HistoryStats, StatsQuery } from './history-query.ts';

type Row = { total_messages: bigint; wh_audience: bigint; wh_delivered: bigint; top_events: string };

const STATS = `
  select s.total_messages, s.wh_audience, s.wh_delivered, s.top_events
  from realtime.message_stats($1, $2, $3) as s`;

/** Rejects when the database cannot be asked. */
export async function readStatistics(pool: Pool, { channelId, since, until }: StatsQuery): Promise<HistoryStats> {
  const { rows } = await pool.query<Row>(STATS, [channelId ?? null, since ?? null, until ?? null]);
  const { total_messages, wh_audience, wh_delivered, top_events } = must(rows[0], 'the row of statistics');
  const whAudience = Number(wh_audience);
  const whDelivered = Number(wh_delivered);
  return {
    totalMessages: Number(total_messages),
    whDeliveryRate: whAudience === 0 ? 0 : whDelivered / whAudience,
    topEvents: JSON.parse(top_events),
    whAudience,
    whDelivered,
  };
}
