// Owns what is found out before history is read, as the server's own login and in one statement: whether there is such a
// channel, between which positions the filtered part of each table lies, and when history ends. It follows from the counts,
// exactly; it spares the planner most partitions, and a walk along positions all that lies beside a window of time.

import type { Pool } from 'pg';
import { must } from '../lib/assert.ts';
import { type HistoryFilter, TABLE_PREFIX, timeOf } from './history-query.ts';

export type HistorySource = 'messages' | 'changes';

/** Inclusive. */
export type PositionRange = { readonly first: string; readonly last: string };

export type HistoryScope = {
  /** What is in the ids of row changes; null before the first start. */
  readonly systemIdentifier: string | null;
  /** All of history has its time before this one. */
  readonly end: string;
  /** Where the filtered part of a table lies; without a key: anywhere; null: nowhere. */
  readonly ranges: Readonly<Partial<Record<HistorySource, PositionRange | null>>>;
  /** The table whose changes the filter means; null: those of none, undefined: of all. */
  readonly relation: string | null | undefined;
};

type Row = { system_identifier: string | null; pattern: string | null; last_end: string | null; ranges: string | null };
type Ranges = Record<HistorySource, { first: string | null; last: string | null }>;

// The end is that of the last hour that was counted; what is written before history is read is not beyond it either.
// $1 channel id, $2 event, $3 and $4 times, $5 relation. Without ranges there is nothing to plan for them.
const RANGES = `
  (select pg_catalog.json_object_agg(s.source, pg_catalog.json_build_object('first', r.first_position, 'last', r.last_position))
   from (values ('messages', $1::text),
                ('changes', coalesce($5, (select realtime.watched_relation(c.pattern) from channel as c)))) as s (source, channel_key)
     cross join lateral realtime.position_range(s.source, $3, $4, s.channel_key, $2) as r)`;
const scopeStatement = (ranges: string): string => `
  with channel as (select c.pattern from realtime.channels as c where c.id = $1)
  select (select k.system_identifier from realtime.checkpoint as k) as system_identifier,
    (select c.pattern from channel as c) as pattern,
    (select case when l.bucket is not null
       then (greatest(l.bucket + interval '1 hour', now() + interval '2 hours') at time zone 'UTC')::text end
     from (select max(n.bucket) from realtime.message_counts as n where n.width_s = 3600) as l (bucket)) as last_end,
    ${ranges} as ranges`;
const SCOPE = scopeStatement('null');
const RANGED_SCOPE = scopeStatement(RANGES);

/** Null where the filter's channel is gone, or history is empty. Rejects when the database cannot be asked. */
export async function readScope(pool: Pool, filter: HistoryFilter): Promise<HistoryScope | null> {
  const { channelId, channel, eventName } = filter;
  const since = timeOf(filter.since);
  const until = timeOf(filter.until);
  const relation = channel?.startsWith(TABLE_PREFIX) ? channel.slice(TABLE_PREFIX.length) : undefined;
  // Two equalities share no index: without a range the walk for a rare pair could go through all of either.
  const isPair = eventName !== undefined && (channelId !== undefined || relation !== undefined);
  const isRanged = since !== undefined || until !== undefined || isPair;
  const values = [channelId ?? null, eventName ?? null, since ?? null, until ?? null, relation ?? null];
  const { rows } = isRanged
    ? await pool.query<Row>(RANGED_SCOPE, values)
    : await pool.query<Row>(SCOPE, [channelId ?? null]);
  const { system_identifier, pattern, last_end, ranges } = must(rows[0], 'the row of a select without from');
  if (last_end === null || (channelId !== undefined && pattern === null)) return null;
  return {
    systemIdentifier: system_identifier,
    end: `${last_end}+00`,
    ranges: ranges === null ? {} : rangesOf(JSON.parse(ranges)),
    relation: pattern === null ? relation : relationOf(pattern, relation),
  };
}

function rangesOf({ messages, changes }: Ranges): HistoryScope['ranges'] {
  return { messages: rangeOf(messages), changes: rangeOf(changes) };
}

function rangeOf({ first, last }: Ranges[HistorySource]): PositionRange | null {
  return first === null || last === null ? null : { first, last };
}

// Both filters at once: they have to mean the same table.
function relationOf(pattern: string, given: string | undefined): string | null {
  const watched = pattern.startsWith(TABLE_PREFIX) ? pattern.slice(TABLE_PREFIX.length) : null;
  return given === undefined || given === watched ? watched : null;
}
