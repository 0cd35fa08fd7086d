-- The deliveries of an endpoint that are to be sent next, in the order of sending: its unfinished batch; the members of a new
-- one; the oldest alone, where it is ordered; else whatever is due. An endpoint that is probed gives one, due or not. What is
-- behind a delivery that is not judged yet waits for it, where order matters. At least one is given whatever its size.
create or replace function realtime.pick_deliveries(endpoint realtime.webhook_endpoints, room integer, byte_room bigint)
returns setof bigint
language plpgsql stable
as $$
declare
  is_probe boolean := endpoint.consecutive_failures >= 5;
begin
  if endpoint.open_batch_id is not null and exists (
      select from realtime.webhook_deliveries d
      where d.batch_id = endpoint.open_batch_id and d.endpoint_id = endpoint.id and d.state in ('pending', 'leased')) then
    return query
      select d.id
      from realtime.webhook_deliveries d
      where d.batch_id = endpoint.open_batch_id and d.endpoint_id = endpoint.id and d.state = 'pending'
        and (is_probe or d.next_attempt_at <= now())
      order by d.batch_index;
  elsif endpoint.mode = 'batch' then
    if endpoint.next_batch_at > now() then return; end if;
    return query
      select f.id
      from (
        select o.id, bool_and(o.state = 'pending') over w as is_ready, count(*) over w as place,
          sum(octet_length(o.body) + 1) over w as bytes
        from (
          select d.id, d.state, d.body
          from realtime.webhook_deliveries d
          where d.endpoint_id = endpoint.id and d.state in ('unjudged', 'pending', 'leased')
          order by d.id
          limit room) o
        window w as (order by o.id)) f
      where f.is_ready and (f.bytes < byte_room or f.place = 1)
      order by f.id;
  elsif endpoint.ordered then
    return query
      select o.id
      from (
        select d.id, d.state, d.next_attempt_at
        from realtime.webhook_deliveries d
        where d.endpoint_id = endpoint.id and d.state in ('unjudged', 'pending', 'leased')
        order by d.id
        limit 1) o
      where o.state = 'pending' and (is_probe or o.next_attempt_at <= now());
  else
    return query
      select f.id
      from (
        select o.id, o.next_attempt_at, count(*) over w as place, sum(octet_length(o.body)) over w as bytes
        from (
          select d.id, d.next_attempt_at, d.body
          from realtime.webhook_deliveries d
          where d.endpoint_id = endpoint.id and d.state = 'pending' and (is_probe or d.next_attempt_at <= now())
          order by d.next_attempt_at, d.id
          limit room) o
        window w as (order by o.next_attempt_at, o.id)) f
      where f.bytes <= byte_room or f.place = 1
      order by f.next_attempt_at, f.id;
  end if;
end
$$;

revoke execute on function realtime.pick_deliveries(realtime.webhook_endpoints, integer, bigint) from public;
comment on function realtime.pick_deliveries(realtime.webhook_endpoints, integer, bigint) is
  'Internal: the deliveries of an endpoint that are to be sent next, in order.';
