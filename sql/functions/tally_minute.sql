-- Counts what lies in a part of one minute, in the table itself: between the positions of that minute, and nowhere else.
-- By EXECUTE: a plan that is kept would not know the day, and look into every partition.
create or replace function realtime.tally_minute(source text, since timestamptz, until timestamptz, channel_key text)
returns table (event_name text, message_count bigint, wh_audience_count bigint, wh_delivered_count bigint)
language plpgsql stable
as $$
declare
  positions record;
begin
  if tally_minute.since >= tally_minute.until then return; end if;
  select min(c.first_position) as first, max(c.last_position) as last into positions
  from realtime.message_counts c
  where c.width_s = 60 and c.bucket = date_trunc('minute', tally_minute.since, 'UTC') and c.source = tally_minute.source
    and not c.is_removed and (tally_minute.channel_key is null or c.channel_key = tally_minute.channel_key);
  if positions.first is null then return; end if;

  return query execute case tally_minute.source
    when 'messages' then
      'select m.event_name, count(*), sum(m.wh_audience_count), sum(m.wh_delivered_count) from realtime.messages m
       where m.position between $1 and $2 and m.created_at >= $3 and m.created_at < $4
         and ($5 is null or m.channel_id = $5::uuid)
       group by 1'
    else
      'select h.op, count(*), sum(h.wh_audience_count), sum(h.wh_delivered_count) from realtime.changes h
       where h.position between $1 and $2 and h.committed_at >= $3 and h.committed_at < $4
         and ($5 is null or h.relation = $5)
       group by 1'
    end
    using positions.first, positions.last, tally_minute.since, tally_minute.until, tally_minute.channel_key;
end
$$;

revoke execute on function realtime.tally_minute(text, timestamptz, timestamptz, text) from public;
comment on function realtime.tally_minute(text, timestamptz, timestamptz, text) is
  'Internal: messages or changes in a part of one minute, by event.';
