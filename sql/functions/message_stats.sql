-- Statistics of history from `since` on and before `until` (null: no bound), of one channel row or of all: the same, to the
-- message, as counting what GET /messages lists. Whole hours and minutes come from realtime.message_counts; what is left
-- of a minute at either end is counted. Stable, so all of it is one snapshot.
create or replace function realtime.message_stats(channel_id uuid, since timestamptz, until timestamptz)
returns table (total_messages bigint, wh_audience bigint, wh_delivered bigint, top_events json)
language sql stable
as $$
  with span as (
    select s.since, s.until, date_trunc('minute', s.until, 'UTC') as end_minute,
           case when date_trunc('minute', s.since, 'UTC') = s.since then s.since
                else date_trunc('minute', s.since, 'UTC') + interval '1 minute' end as first_minute
    from (select coalesce(message_stats.since, '-infinity'), coalesce(message_stats.until, 'infinity')) s (since, until)
  ), sources as (
    select s.source, s.channel_key
    from (values
      ('messages', (select c.id::text from realtime.channels c where c.id = message_stats.channel_id)),
      ('changes', (select realtime.watched_relation(c.pattern) from realtime.channels c where c.id = message_stats.channel_id))
    ) s (source, channel_key)
    where message_stats.channel_id is null or s.channel_key is not null
  ), tallies as (
    select c.event_name, case when c.is_removed then -1 else 1 end as sign,
           c.message_count, c.wh_audience_count, c.wh_delivered_count
    from span, sources s, realtime.counts_within(span.first_minute, span.end_minute) c
    where c.source = s.source and (s.channel_key is null or c.channel_key = s.channel_key)
    union all
    select t.event_name, 1, t.message_count, t.wh_audience_count, t.wh_delivered_count
    from span, sources s, realtime.tally_minute(s.source, span.since, least(span.first_minute, span.until), s.channel_key) t
    union all
    select t.event_name, 1, t.message_count, t.wh_audience_count, t.wh_delivered_count
    from span, sources s, realtime.tally_minute(
      s.source, greatest(span.end_minute, least(span.first_minute, span.until)), span.until, s.channel_key) t
  ), events as (
    select t.event_name, sum(t.sign * t.message_count)::bigint as message_count,
           sum(t.sign * t.wh_audience_count)::bigint as wh_audience, sum(t.sign * t.wh_delivered_count)::bigint as wh_delivered
    from tallies t
    group by 1
  )
  select coalesce(sum(e.message_count), 0)::bigint, coalesce(sum(e.wh_audience), 0)::bigint, coalesce(sum(e.wh_delivered), 0)::bigint,
    coalesce((
      select json_agg(json_build_object('eventName', t.event_name, 'count', t.message_count)
                      order by t.message_count desc, t.event_name collate "C")
      from (select * from events e where e.message_count > 0 order by e.message_count desc, e.event_name collate "C" limit 10) t), '[]')
  from events e
$$;

revoke execute on function realtime.message_stats(uuid, timestamptz, timestamptz) from public;
comment on function realtime.message_stats(uuid, timestamptz, timestamptz) is
  'Internal: how many messages and changes of history there are in a span of time, and of which events.';
