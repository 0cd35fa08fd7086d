-- To which endpoints messages of these channels and events are sent: those of their own whose pattern and events fit, and
-- those of the channel row whose webhook_urls hold. One that has a role gets row changes as its role sees them, where
-- an UPDATE may be an INSERT or a DELETE: whether it wants that is known once it is judged.
create or replace function realtime.webhook_targets(names text[], events text[])
returns table (channel_name text, event_name text, endpoint_id uuid)
language sql stable
as $$
  with asked as materialized (
    select u.name, u.event from unnest(names, events) as u (name, event) group by 1, 2
  ), closed as materialized (
    -- Nobody publishes on a closed channel; but the changes of a table go on.
    select n.name
    from (select distinct a.name from asked a where a.name like 'db:%') n, realtime.deciding_channel(n.name) c
    where not c.enabled
  ), routed as (
    select a.name, a.event, e.id, e.events, e.role
    from asked a join realtime.webhook_endpoints e on a.name like e.like_pattern
    where e.channel_id is null and e.enabled and e.state <> 'disabled'
      and a.name not in (select c.name from closed c)
    union all
    select a.name, a.event, e.id, e.events, e.role
    from realtime.webhook_channels((
        select array_agg(distinct a.name) from asked a
        where exists (select from realtime.webhook_endpoints e where e.channel_id is not null))) w
      join asked a on a.name = w.name
      join realtime.webhook_endpoints e on e.channel_id = w.channel_id
    where e.enabled and e.state <> 'disabled'
  )
  select r.name, r.event, r.id
  from routed r
  where r.events is null or r.event = any (r.events)
    or (r.role is not null and r.event = 'UPDATE' and r.name like 'db:%' and r.events && '{INSERT,DELETE}')
$$;

revoke execute on function realtime.webhook_targets(text[], text[]) from public;
comment on function realtime.webhook_targets(text[], text[]) is
  'Internal: the endpoints that get messages of channels and events.';
