-- Deletes from the next slice of history, in the order of positions: what has its time in [since, until) and, where days are
-- given, belongs to a channel that is kept no longer than that. Says how much of it was due and how much of that went (the
-- rest is held by somebody), and where the slice ended: ask again from there; null once there is none. A null bound is none.
create or replace function realtime.remove_slice(parent text, since timestamptz, until timestamptz,
  after_position text, last_position text, days integer, slice integer, out due bigint, out removed bigint, out at_position text)
language plpgsql volatile
as $$
declare
  -- The columns of key, time and channel.
  columns text[] := case remove_slice.parent when 'messages' then '{id,created_at,channel_name}' else '{position,committed_at,relation}' end;
  keys text[];
  times timestamptz[];
begin
  execute format($slice$
    with slice as materialized (
      select r.%2$I::text as key, r.%3$I as at, r.position, %5$L || r.%4$I as name
      from realtime.%1$I r
      where r.position > coalesce($3, '') and ($4 is null or r.position <= $4)
        and r.%3$I >= coalesce($1, '-infinity') and r.%3$I < coalesce($2, 'infinity')
      order by r.position
      limit $6
    ), short_lived as (
      select n.name
      from (select distinct s.name from slice s where $5 is not null) n
        join lateral realtime.deciding_channel(n.name) d on d.retention_days <= $5
      -- Few names match a row that says so short a time; only of those it is asked which row decides.
      where exists (select from realtime.channels c where c.retention_days <= $5 and n.name like c.like_pattern)
    )
    select array_agg(s.key) filter (where s.is_due), array_agg(s.at) filter (where s.is_due), max(s.position)
    from (select s.*, $5 is null or s.name in (select l.name from short_lived l) as is_due from slice s) s $slice$,
    remove_slice.parent, columns[1], columns[2], columns[3], case remove_slice.parent when 'changes' then 'db:' else '' end)
  using since, until, after_position, last_position, days, slice
  into keys, times, at_position;
  due := coalesce(cardinality(keys), 0);
  removed := realtime.delete_rows(remove_slice.parent, keys, times);
end
$$;

revoke execute on function realtime.remove_slice(text, timestamptz, timestamptz, text, text, integer, integer) from public;
comment on function realtime.remove_slice(text, timestamptz, timestamptz, text, text, integer, integer) is
  'Internal: deletes from the next slice of messages or changes; returns how much was due, how much went, and where the slice ended.';
