-- What leaves history by DELETE is counted as removed, in the same transaction, so that statistics stay what the lists
-- are; and raises the floor of its channel, so that nobody resumes across what is gone. On the roots: a DELETE that names a partition goes uncounted, and so do rows that are changed.
-- Definer, because admin roles may delete messages and may not touch the counts.
create or replace function realtime.count_removed() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  -- Columns of the time, the channel and the event.
  columns text[] := case tg_table_name when 'messages' then '{created_at,channel_id,event_name}' else '{committed_at,relation,op}' end;
begin
  if not exists (select from removed) then return null; end if;
  execute format($count$
    select realtime.add_message_counts(%L, true, array_agg(g.minute), array_agg(g.channel_key), array_agg(g.event_name),
      array_agg(g.message_count), array_agg(g.wh_audience_count), array_agg(g.wh_delivered_count),
      array_agg(g.first_position), array_agg(g.last_position))
    from (
      select date_trunc('minute', r.%I, 'UTC') as minute, r.%I::text as channel_key, r.%I as event_name, count(*) as message_count,
             sum(r.wh_audience_count) as wh_audience_count, sum(r.wh_delivered_count) as wh_delivered_count,
             min(r.position) as first_position, max(r.position) as last_position
      from removed r
      where r.position is not null
      group by 1, 2, 3
    ) g
    having count(*) > 0 $count$, tg_table_name, columns[1], columns[2], columns[3]);
  -- What the journal takes back at its start comes again, with the same positions.
  if tg_table_name = 'changes' and current_setting('realtime.takes_back', true) = 'on' then return null; end if;
  execute format($floor$
    select realtime.raise_floors(%L, 'removed', array_agg(g.channel_key), array_agg(g.position))
    from (select r.%I::text as channel_key, max(r.position) as position from removed r where r.position is not null group by 1) g
    having count(*) > 0 $floor$, tg_table_name, columns[2]);
  return null;
end
$$;

revoke execute on function realtime.count_removed() from public;
comment on function realtime.count_removed() is 'Trigger of realtime.messages and realtime.changes: counts what is deleted from history, and raises floors.';

create or replace trigger messages_count_removed after delete on realtime.messages
  referencing old table as removed for each statement execute function realtime.count_removed();
create or replace trigger changes_count_removed after delete on realtime.changes
  referencing old table as removed for each statement execute function realtime.count_removed();
