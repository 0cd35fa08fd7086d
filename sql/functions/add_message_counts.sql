-- Counts messages of history, or the removal of some, into their minutes and hours. The rows are given in any order
-- and written in one, so that two who count never wait for each other in a circle.
create or replace function realtime.add_message_counts(
  source text, is_removed boolean, times timestamptz[], channel_keys text[], event_names text[], message_counts bigint[],
  wh_audience_counts bigint[], wh_delivered_counts bigint[], first_positions text[], last_positions text[]) returns void
language sql volatile
as $$
  insert into realtime.message_counts as c (width_s, bucket, source, channel_key, event_name, is_removed, message_count,
    wh_audience_count, wh_delivered_count, first_position, last_position)
  select w.width_s, date_bin(make_interval(secs => w.width_s), n.at, 'epoch') as bucket, add_message_counts.source, n.channel_key,
    n.event_name, add_message_counts.is_removed, sum(n.message_count), sum(n.wh_audience_count), sum(n.wh_delivered_count),
    min(n.first_position collate "C"), max(n.last_position collate "C")
  from unnest(times, channel_keys, event_names, message_counts, wh_audience_counts, wh_delivered_counts, first_positions, last_positions)
      as n (at, channel_key, event_name, message_count, wh_audience_count, wh_delivered_count, first_position, last_position),
    (values (60), (3600)) as w (width_s)
  group by w.width_s, bucket, n.channel_key, n.event_name
  order by w.width_s, bucket, n.channel_key collate "C", n.event_name collate "C"
  on conflict on constraint message_counts_pkey do update set
    message_count = c.message_count + excluded.message_count,
    wh_audience_count = c.wh_audience_count + excluded.wh_audience_count,
    wh_delivered_count = c.wh_delivered_count + excluded.wh_delivered_count,
    first_position = least(c.first_position, excluded.first_position),
    last_position = greatest(c.last_position, excluded.last_position)
$$;

revoke execute on function realtime.add_message_counts(text, boolean, timestamptz[], text[], text[], bigint[], bigint[], bigint[], text[], text[]) from public;
comment on function realtime.add_message_counts(text, boolean, timestamptz[], text[], text[], bigint[], bigint[], bigint[], text[], text[]) is
  'Internal: adds to realtime.message_counts, by minute and by hour.';
