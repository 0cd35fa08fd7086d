-- Writes the deliveries of row changes that are in history already, in the order of their positions. For the journal, in its
-- transaction. An endpoint without a role sees what history has; for one with a role its visibility has to be judged first,
-- and the body is made then. Returns how many were written.
create or replace function realtime.enqueue_changes(ids uuid[], positions text[], times timestamptz[],
  target_relations text[], target_events text[], target_endpoints uuid[]) returns bigint
language plpgsql volatile set work_mem = '64MB' set enable_nestloop = off
as $$
declare
  written bigint;
  -- What is asked for lies together: without these a plan would look into every day there is, or look up each for itself.
  first_position text := (select min(p.position collate "C") from unnest(positions) as p (position));
  last_position text := (select max(p.position collate "C") from unnest(positions) as p (position));
  first_at timestamptz := (select min(t.at) from unnest(times) as t (at));
  last_at timestamptz := (select max(t.at) from unnest(times) as t (at));
begin
  with stretch as materialized (
    select h.position, h.relation, h.op, h.committed_at, h.payload from realtime.changes h
    where h.position between first_position and last_position and h.committed_at between first_at and last_at
  )
  insert into realtime.webhook_deliveries (endpoint_id, message_id, source, position, channel_name, event_name, message_created_at, state, body)
  select e.id, p.id, 'changes', h.position, 'db:' || h.relation, h.op, h.committed_at,
    case when e.role is null then 'pending' else 'unjudged' end,
    case when e.role is null then
      realtime.webhook_body(e.format, e.label, e.pattern, p.id, c.id, 'db:' || h.relation, h.op, realtime.change_payload(h.payload),
        'system', null, null, h.committed_at)
    end
  from unnest(ids, positions) as p (id, position)
    join stretch h on h.position = p.position
    join unnest(target_relations, target_events, target_endpoints) as t (relation, event_name, endpoint_id)
      on t.relation = h.relation and t.event_name = h.op
    join realtime.webhook_endpoints e on e.id = t.endpoint_id
    left join realtime.channels c on c.pattern = 'db:' || h.relation
  order by h.position, e.created_at, e.id
  on conflict on constraint webhook_deliveries_message_unique do nothing;
  get diagnostics written = row_count;
  return written;
end
$$;

revoke execute on function realtime.enqueue_changes(uuid[], text[], timestamptz[], text[], text[], uuid[]) from public;
comment on function realtime.enqueue_changes(uuid[], text[], timestamptz[], text[], text[], uuid[]) is
  'Internal: writes the deliveries of row changes; returns how many.';
