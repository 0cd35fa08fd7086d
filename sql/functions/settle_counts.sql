-- Where everything that was counted was removed again, both counts go: they say nothing, and would stay for ever. The
-- rows are locked before they are believed, so nothing that is counted meanwhile is lost. Returns how many rows went.
create or replace function realtime.settle_counts() returns bigint
language sql volatile
as $$
  with candidates as materialized (
    select r.width_s, r.bucket, r.source, r.channel_key, r.event_name
    from realtime.message_counts r
      join realtime.message_counts c using (width_s, bucket, source, channel_key, event_name)
    where r.is_removed and not c.is_removed
      and (r.message_count, r.wh_audience_count, r.wh_delivered_count) = (c.message_count, c.wh_audience_count, c.wh_delivered_count)
  ), locked as materialized (
    select c.* from realtime.message_counts c join candidates using (width_s, bucket, source, channel_key, event_name)
    order by width_s, bucket, source, channel_key, event_name, c.is_removed
    for update of c skip locked
  ), settled as (
    delete from realtime.message_counts c
    using (
      select l.width_s, l.bucket, l.source, l.channel_key, l.event_name
      from locked l
      group by 1, 2, 3, 4, 5
      having count(*) = 2 and count(distinct (l.message_count, l.wh_audience_count, l.wh_delivered_count)) = 1) s
    where (c.width_s, c.bucket, c.source, c.channel_key, c.event_name)
      = (s.width_s, s.bucket, s.source, s.channel_key, s.event_name)
    returning 1
  )
  select count(*) from settled
$$;

revoke execute on function realtime.settle_counts() from public;
comment on function realtime.settle_counts() is 'Internal: drops the counts of what was removed altogether.';
