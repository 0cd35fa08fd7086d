-- Drops the partition of one day with its counts, in one transaction; the floors of its channels rise. That needs a moment in which nobody uses the table; it
-- is waited for 200 ms, and publishers wait no longer. Fails with 55P03 after that, and leaves all as it was.
-- The counts go before the table is locked, because there may be many, and once more behind it: what was counted in between.
-- Returns how many messages or changes it held; null if there is no such partition.
create or replace function realtime.drop_partition(parent text, day date) returns bigint
language plpgsql set lock_timeout = '200ms'
as $$
declare
  leaf text;
  since timestamptz := drop_partition.day::timestamp at time zone 'UTC';
  until timestamptz := (drop_partition.day + 1)::timestamp at time zone 'UTC';
  dropped bigint;
begin
  select p.partition_name into leaf from realtime.partitions() p
  where p.parent = drop_partition.parent and p.day = drop_partition.day;
  if not found then return null; end if;

  perform realtime.raise_floors(drop_partition.parent, 'removed', array_agg(g.channel_key), array_agg(g.position))
  from (
    select c.channel_key, max(c.last_position) as position
    from realtime.message_counts c
    where c.width_s = 3600 and c.bucket >= since and c.bucket < until and c.source = drop_partition.parent
    group by c.channel_key
  ) g
  having count(*) > 0;
  with gone as (
    delete from realtime.message_counts c
    where c.width_s in (60, 3600) and c.bucket >= since and c.bucket < until and c.source = drop_partition.parent
    returning c.width_s, case when c.is_removed then -c.message_count else c.message_count end as message_count
  )
  select coalesce(sum(g.message_count) filter (where g.width_s = 3600), 0) into dropped from gone g;
  execute format('alter table realtime.%I detach partition realtime.%I', drop_partition.parent, leaf);
  delete from realtime.message_counts c
  where c.width_s in (60, 3600) and c.bucket >= since and c.bucket < until and c.source = drop_partition.parent;
  execute format('drop table realtime.%I', leaf);
  return dropped;
end
$$;

revoke execute on function realtime.drop_partition(text, date) from public;
comment on function realtime.drop_partition(text, date) is
  'Internal: drops the partition of one day, with its counts; returns how many rows it held, null if there is none.';
