-- The channel row that decides about a concrete name: exact before pattern, longer literal before shorter,
-- older before newer. A disabled one decides as well: the name is closed, there is no fall-through. A setting
-- that is null there comes from the next less specific enabled match.
-- As the caller: under row security only rows that the caller may see can decide.
create or replace function realtime.deciding_channel(name text)
returns table (channel_id uuid, pattern text, enabled boolean, persist boolean, retention_days integer)
language sql stable
as $$
  select (array_agg(m.id order by m.rank))[1],
         (array_agg(m.pattern order by m.rank))[1],
         (array_agg(m.enabled order by m.rank))[1],
         coalesce((array_agg(m.persist order by m.rank) filter (where m.persist is not null and (m.enabled or m.rank = 1)))[1], true),
         (array_agg(m.retention_days order by m.rank) filter (where m.retention_days is not null and (m.enabled or m.rank = 1)))[1]
  from (
    select c.id, c.pattern, c.enabled, c.persist, c.retention_days,
           row_number() over (order by c.is_pattern, c.literal_length desc, c.created_at, c.id) as rank
    from realtime.channels c
    where case when c.is_pattern then deciding_channel.name like c.like_pattern else deciding_channel.name = c.pattern end
  ) m
  having count(*) > 0
$$;

comment on function realtime.deciding_channel(text) is
  'The channel row that decides about a concrete name, its settings filled from less specific matches; no row if none matches.';
