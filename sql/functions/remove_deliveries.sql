-- Deletes deliveries that ended long ago, dead ones after four times that, and those whose endpoint is gone; their attempts go with them. In slices: returns how many.
create or replace function realtime.remove_deliveries(keep_ms bigint, slice integer) returns bigint
language sql volatile
as $$
  with due as materialized (
    select d.id
    from realtime.webhook_deliveries d
    where d.created_at < now() - make_interval(secs => keep_ms / 1000.0)
      and (d.state in ('delivered', 'cancelled', 'hidden')
            and coalesce(d.finished_at, d.created_at) < now() - make_interval(secs => keep_ms / 1000.0)
        or d.state = 'dead' and coalesce(d.finished_at, d.created_at) < now() - make_interval(secs => keep_ms / 250.0)
        or not exists (select from realtime.webhook_endpoints e where e.id = d.endpoint_id))
    order by d.created_at
    limit slice
    for update of d skip locked
  ), removed as (
    delete from realtime.webhook_deliveries d using due where d.id = due.id returning 1
  )
  select count(*) from removed
$$;

revoke execute on function realtime.remove_deliveries(bigint, integer) from public;
comment on function realtime.remove_deliveries(bigint, integer) is 'Internal: deletes deliveries that ended long ago; returns how many.';
