-- Between which positions everything of one table lies that has its time in a span; null if there is nothing. What makes
-- a window of time cheap to page by position: without it, the walk along the positions would go through everything
-- beside the window. It holds whatever the clocks and long transactions did, for each minute knows its own.
create or replace function realtime.position_range(source text, since timestamptz, until timestamptz, channel_key text, event_name text)
returns table (first_position text, last_position text)
language sql stable
as $$
  select min(c.first_position collate "C"), max(c.last_position collate "C")
  from realtime.counts_within(
    date_trunc('minute', coalesce(position_range.since, '-infinity'), 'UTC'),
    date_trunc('minute', coalesce(position_range.until, 'infinity'), 'UTC')
      + case when isfinite(position_range.until) then interval '1 minute' else interval '0' end) c
  where c.source = position_range.source and not c.is_removed
    and (position_range.channel_key is null or c.channel_key = position_range.channel_key)
    and (position_range.event_name is null or c.event_name = position_range.event_name)
$$;

revoke execute on function realtime.position_range(text, timestamptz, timestamptz, text, text) from public;
comment on function realtime.position_range(text, timestamptz, timestamptz, text, text) is
  'Internal: the positions between which the messages or changes of a span of time lie.';
