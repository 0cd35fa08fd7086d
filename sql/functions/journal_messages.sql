-- Gives published messages their place in history: position and audiences, and counts them. For the journal, in its
-- transaction. What has a position already keeps it (a stream that is read again gives the same), and what was
-- deleted meanwhile is left out; returns how many were written.
create or replace function realtime.journal_messages(ids uuid[], times timestamptz[], positions text[], audience_counts integer[],
  wh_audience_counts integer[] default null)
returns bigint
language plpgsql volatile
as $$
declare
  written bigint;
  -- Without them a plan would look into every day there is.
  first_at timestamptz := (select min(t.at) from unnest(times) as t (at));
  last_at timestamptz := (select max(t.at) from unnest(times) as t (at));
begin
  with placed as (
    update realtime.messages as m set position = t.position, ws_audience_count = t.audience_count,
      wh_audience_count = coalesce(t.wh_audience_count, m.wh_audience_count)
    from unnest(ids, times, positions, audience_counts, wh_audience_counts)
      as t (id, created_at, position, audience_count, wh_audience_count)
    where m.id = t.id and m.created_at = t.created_at and m.position is null and m.created_at between first_at and last_at
    returning m.created_at, m.channel_id::text as channel_key, m.event_name, m.position,
      coalesce(t.wh_audience_count, 0) as wh_audience_count
  ), counted as (
    select date_trunc('minute', p.created_at) as minute, p.channel_key, p.event_name, count(*) as messages,
           sum(p.wh_audience_count) as wh_audience_counts,
           min(p.position) as first_position, max(p.position) as last_position
    from placed p
    group by 1, 2, 3
  ), listed as (
    select array_agg(c.minute) as minutes, array_agg(c.channel_key) as channel_keys, array_agg(c.event_name) as event_names,
           array_agg(c.messages) as messages, array_agg(0::bigint) as nothing, array_agg(c.wh_audience_counts) as wh_audience_counts,
           array_agg(c.first_position) as first_positions, array_agg(c.last_position) as last_positions, sum(c.messages) as total
    from counted c
  )
  select l.total into written
  from listed l, lateral (
    select realtime.add_message_counts('messages', false, l.minutes, l.channel_keys, l.event_names, l.messages,
      l.wh_audience_counts, l.nothing, l.first_positions, l.last_positions)) as added
  where l.total > 0;
  return coalesce(written, 0);
end
$$;

revoke execute on function realtime.journal_messages(uuid[], timestamptz[], text[], integer[], integer[]) from public;
comment on function realtime.journal_messages(uuid[], timestamptz[], text[], integer[], integer[]) is
  'Internal: writes position and audience of published messages, and counts them; returns how many.';
