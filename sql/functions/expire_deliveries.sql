-- Gives up what is too old and waits for an endpoint that is disabled, or has failed for all that time: by its probes alone
-- most of it would never be tried. A batch is given up as a whole, when it is tried. In slices: returns how many.
create or replace function realtime.expire_deliveries(give_up_ms bigint, slice integer) returns bigint
language sql volatile
as $$
  with failing as materialized (
    select e.id
    from realtime.webhook_endpoints e
    where e.state = 'disabled'
      or e.state = 'active' and e.failing_since < now() - make_interval(secs => give_up_ms / 1000.0)
    order by e.id
    for no key update skip locked
  ), due as materialized (
    select d.id
    from failing f, lateral (
      select p.id
      from realtime.webhook_deliveries p
      where p.endpoint_id = f.id and p.state = 'pending' and p.batch_id is null
        and coalesce(p.give_up_at, p.created_at + make_interval(secs => give_up_ms / 1000.0)) <= now()
      limit slice) d
    limit slice
  ), given_up as (
    update realtime.webhook_deliveries d set state = 'dead', finished_at = now(),
      last_error = coalesce(d.last_error, 'the endpoint did not answer in all that time')
    from due
    where d.id = due.id and d.state = 'pending'
    returning 1
  )
  select count(*) from given_up
$$;

revoke execute on function realtime.expire_deliveries(bigint, integer) from public;
comment on function realtime.expire_deliveries(bigint, integer) is 'Internal: gives up deliveries that are too old, of endpoints that do not work; returns how many.';
