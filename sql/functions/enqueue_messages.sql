-- Writes the deliveries of published messages, bodies included, in the order of their positions. For the journal, in its
-- transaction, before journal_messages: what has a position already has its deliveries too. The targets are those that
-- webhook_targets gave, and those alone, so that they are as many as were counted. Returns how many were written.
create or replace function realtime.enqueue_messages(ids uuid[], times timestamptz[], positions text[],
  target_channels text[], target_events text[], target_endpoints uuid[]) returns bigint
language plpgsql volatile set work_mem = '64MB'
as $$
declare
  written bigint;
  -- Without them a plan would look into every day there is.
  first_at timestamptz := (select min(t.at) from unnest(times) as t (at));
  last_at timestamptz := (select max(t.at) from unnest(times) as t (at));
begin
  insert into realtime.webhook_deliveries (endpoint_id, message_id, source, position, channel_name, event_name, message_created_at, body)
  select e.id, m.id, 'messages', p.position, m.channel_name, m.event_name, m.created_at,
    realtime.webhook_body(e.format, e.label, e.pattern, m.id, c.id, m.channel_name, m.event_name, m.payload::text,
      m.sender_type, m.sender_id, m.connection_id, m.created_at)
  from unnest(ids, times, positions) as p (id, created_at, position)
    -- Its limit keeps the plan from reading a partition whole.
    cross join lateral (
      select n.* from realtime.messages n
      where n.id = p.id and n.created_at = p.created_at and n.created_at between first_at and last_at and n.position is null
      limit 1) m
    join unnest(target_channels, target_events, target_endpoints) as t (channel_name, event_name, endpoint_id)
      on t.channel_name = m.channel_name and t.event_name = m.event_name
    join realtime.webhook_endpoints e on e.id = t.endpoint_id
    left join realtime.channels c on c.id = m.channel_id
  order by p.position collate "C", e.created_at, e.id
  on conflict on constraint webhook_deliveries_message_unique do nothing;
  get diagnostics written = row_count;
  return written;
end
$$;

revoke execute on function realtime.enqueue_messages(uuid[], timestamptz[], text[], text[], text[], uuid[]) from public;
comment on function realtime.enqueue_messages(uuid[], timestamptz[], text[], text[], text[], uuid[]) is
  'Internal: writes the deliveries of published messages; returns how many.';
