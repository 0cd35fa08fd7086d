// Owns which channel rows of history still exist: the one that decided about a message, and the one that watches the
// table of a change. Read as the server's own login, also for those who may see the messages alone.

import type { Pool } from 'pg';
import { likePatternOf } from '../channels/channel-sql.ts';
import type { HistoryRow } from './history-message.ts';
import { TABLE_PREFIX } from './history-query.ts';

// By the indexes of id and like_pattern, as realtime.channels makes the latter.
const CHANNELS = `
  select c.id, null as pattern from realtime.channels as c where c.id = any ($1::uuid[])
  union all
  select c.id, c.pattern from realtime.channels as c
  where c.like_pattern in (
      select ${likePatternOf('n.pattern')} from unnest($2::text[]) as n (pattern))
    and c.pattern = any ($2::text[])`;

/** Tells the id of a row's channel; null once that is gone. */
export async function readChannels(
  pool: Pool,
  rows: readonly HistoryRow[],
): Promise<(row: HistoryRow) => string | null> {
  const ids = new Set(rows.map(({ channel_id }) => channel_id).filter((id) => id !== null));
  const patterns = new Set(rows.filter(isChange).map(patternOf));
  if (ids.size + patterns.size === 0) return () => null;
  const found = await pool.query<{ id: string; pattern: string | null }>(CHANNELS, [[...ids], [...patterns]]);
  const known = new Map(found.rows.map(({ id, pattern }) => [pattern ?? id, id]));
  return (row) => known.get(isChange(row) ? patternOf(row) : (row.channel_id ?? '')) ?? null;
}

function isChange({ source }: HistoryRow): boolean {
  return source === 'changes';
}

function patternOf({ channel_name }: HistoryRow): string {
  return TABLE_PREFIX + channel_name;
}
