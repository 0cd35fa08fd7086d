-- How many requests an endpoint may be given now: one at a time where order matters or where it is only probed, else up to
-- its bound, less what is under way.
create or replace function realtime.lease_room(endpoint realtime.webhook_endpoints) returns integer
language sql stable
as $$
  select case
    when not endpoint.enabled or endpoint.state <> 'active' then 0
    when endpoint.consecutive_failures >= 5 and endpoint.next_attempt_at > now() then 0
    when endpoint.ordered or endpoint.mode = 'batch' or endpoint.open_batch_id is not null or endpoint.consecutive_failures >= 5
      then case when l.leased = 0 then 1 else 0 end
    else greatest(endpoint.max_in_flight - l.leased, 0)
  end
  from (
    select count(*)::integer as leased
    from realtime.webhook_deliveries d
    where d.endpoint_id = endpoint.id and d.state = 'leased' and d.lease_expires_at > now()) l
$$;

revoke execute on function realtime.lease_room(realtime.webhook_endpoints) from public;
comment on function realtime.lease_room(realtime.webhook_endpoints) is 'Internal: how many requests an endpoint may be given now.';
