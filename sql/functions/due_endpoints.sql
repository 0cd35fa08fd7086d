-- The endpoints that may be given something now, those with the least under way first: so that a few slow ones leave room
-- for the others. Jumps from endpoint to endpoint along the index, whatever number of deliveries waits.
create or replace function realtime.due_endpoints(room integer) returns setof uuid
language sql stable
as $$
  with recursive waiting as (
    (select d.endpoint_id from realtime.webhook_deliveries d where d.state = 'pending' order by d.endpoint_id limit 1)
    union all
    select (
      select d.endpoint_id
      from realtime.webhook_deliveries d
      where d.state = 'pending' and d.endpoint_id > w.endpoint_id
      order by d.endpoint_id
      limit 1)
    from waiting w
    where w.endpoint_id is not null
  ), expired as (
    select distinct d.endpoint_id
    from realtime.webhook_deliveries d
    where d.state = 'leased' and d.lease_expires_at <= now()
  ), asked as materialized (
    -- Few of all: only of those the functions below are asked.
    select e.id, e as endpoint, e.id in (select x.endpoint_id from expired x) as has_expired
    from (select w.endpoint_id from waiting w union select x.endpoint_id from expired x) a
      join realtime.webhook_endpoints e on e.id = a.endpoint_id
    where e.enabled and e.state = 'active'
  )
  select a.id
  from asked a,
    lateral (
      select count(distinct coalesce(d.batch_id::text, d.id::text)) as leased
      from realtime.webhook_deliveries d
      where d.endpoint_id = a.id and d.state = 'leased') l
  where realtime.lease_room(a.endpoint) > 0
    and (a.has_expired or exists (select from realtime.pick_deliveries(a.endpoint, 1, 1)))
  order by l.leased, random()
  limit room
$$;

revoke execute on function realtime.due_endpoints(integer) from public;
comment on function realtime.due_endpoints(integer) is 'Internal: endpoints with deliveries that may be sent now, least busy first.';
