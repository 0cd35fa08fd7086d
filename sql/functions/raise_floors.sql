-- Raises the floors of channels, never lowers them: at or below a floor something may be missing in history. In one
-- order, so that two who raise never wait for each other in a circle. A null position, from before the first start, raises nothing.
create or replace function realtime.raise_floors(source text, cause text, channel_keys text[], positions text[]) returns void
language sql volatile
as $$
  insert into realtime.history_floors as f (source, channel_key, cause, position)
  select raise_floors.source, n.channel_key, raise_floors.cause, max(n.position collate "C")
  from unnest(channel_keys, positions) as n (channel_key, position)
  where n.position is not null
  group by n.channel_key
  order by n.channel_key collate "C"
  on conflict on constraint history_floors_pkey do update set position = greatest(f.position, excluded.position)
    where f.position < excluded.position
$$;

revoke execute on function realtime.raise_floors(text, text, text[], text[]) from public;
comment on function realtime.raise_floors(text, text, text[], text[]) is
  'Internal: notes that history of channels is not whole at or below a position.';
