-- The counts that make up a span of whole minutes (or one without an end): of whole hours by the hour, of what is
-- left at both ends by the minute. Each message is in exactly one of the rows.
create or replace function realtime.counts_within(since timestamptz, until timestamptz) returns setof realtime.message_counts
language sql stable
as $$
  select c.*
  from (
    select case when date_trunc('hour', counts_within.since, 'UTC') = counts_within.since then counts_within.since
                else date_trunc('hour', counts_within.since, 'UTC') + interval '1 hour' end as first_hour,
           date_trunc('hour', counts_within.until, 'UTC') as end_hour
  ) h, lateral (
    select w.* from realtime.message_counts w
    where w.width_s = 3600 and w.bucket >= h.first_hour and w.bucket < h.end_hour
    union all
    select b.* from realtime.message_counts b
    where b.width_s = 60 and b.bucket >= counts_within.since and b.bucket < least(h.first_hour, counts_within.until)
    union all
    select a.* from realtime.message_counts a
    where a.width_s = 60 and a.bucket >= greatest(h.end_hour, least(h.first_hour, counts_within.until))
      and a.bucket < counts_within.until
  ) c
$$;

revoke execute on function realtime.counts_within(timestamptz, timestamptz) from public;
comment on function realtime.counts_within(timestamptz, timestamptz) is
  'Internal: the rows of realtime.message_counts that make up a span of whole minutes.';
