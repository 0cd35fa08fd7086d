-- The channel rows whose webhook URLs hold for concrete names: of each the most specific match that says any. A name that
-- a disabled row decides is closed, and has none.
create or replace function realtime.webhook_channels(names text[]) returns table (name text, channel_id uuid)
language sql stable
as $$
  select n.name, (array_agg(c.id order by c.is_pattern, c.literal_length desc, c.created_at, c.id)
                  filter (where c.enabled and c.webhook_urls is not null))[1]
  from (select distinct u.name from unnest(names) as u (name)) n
    join realtime.channels c on case when c.is_pattern then n.name like c.like_pattern else n.name = c.pattern end
  group by n.name
  having (array_agg(c.enabled order by c.is_pattern, c.literal_length desc, c.created_at, c.id))[1]
    and bool_or(c.enabled and c.webhook_urls is not null)
$$;

comment on function realtime.webhook_channels(text[]) is
  'The channel rows whose webhook URLs hold for concrete names, inheritance included.';
