-- Leases what is to be sent now to one worker, of many that may ask at once: the endpoint's row is locked and all is looked
-- at again under the lock, so bounds and order hold across processes; what is locked by another is left to it. A lease that
-- ran out is taken back first. Rows of one batch stand together, in its order.
-- request_room: requests that the worker has room for; byte_room: the same of bodies.
create or replace function realtime.lease_deliveries(holder text, lease_ms integer, request_room integer, byte_room bigint)
returns table (id bigint, endpoint_id uuid, message_id uuid, channel_name text, event_name text, body bytea, batch_id uuid,
  attempts integer, url text, token text, secrets text[])
language plpgsql volatile
as $$
declare
  max_batch_members constant integer := 1000;
  max_batch_bytes constant bigint := 8 * 1024 * 1024;
  candidates uuid[] := array(select realtime.due_endpoints(lease_deliveries.request_room));
  share integer := ceil(lease_deliveries.request_room::numeric / greatest(cardinality(candidates), 1));
  candidate uuid;
  endpoint realtime.webhook_endpoints;
  room integer;
  batch uuid;
  picked bigint[];
begin
  foreach candidate in array candidates loop
    exit when request_room <= 0 or byte_room <= 0;
    select * into endpoint from realtime.webhook_endpoints e where e.id = candidate for no key update skip locked;
    continue when not found;
    update realtime.webhook_deliveries d set state = 'pending', lease_holder = null, lease_expires_at = null
    where d.endpoint_id = candidate and d.state = 'leased' and d.lease_expires_at <= now();
    -- Nothing is left of a batch whose members were cancelled.
    if endpoint.open_batch_id is not null and not exists (
        select from realtime.webhook_deliveries d
        where d.batch_id = endpoint.open_batch_id and d.endpoint_id = candidate and d.state in ('pending', 'leased')) then
      endpoint.open_batch_id := null;
      update realtime.webhook_endpoints e set open_batch_id = null where e.id = candidate;
    end if;
    room := least(realtime.lease_room(endpoint), share, request_room);
    continue when room <= 0;
    batch := null;
    if endpoint.open_batch_id is not null or endpoint.mode = 'batch' then
      batch := coalesce(endpoint.open_batch_id, gen_random_uuid());
      picked := array(select realtime.pick_deliveries(endpoint, max_batch_members, least(max_batch_bytes, byte_room)));
    else
      picked := array(select realtime.pick_deliveries(endpoint, room, byte_room));
    end if;
    continue when cardinality(picked) = 0;
    if batch is not null and endpoint.open_batch_id is null then
      update realtime.webhook_endpoints e set open_batch_id = batch,
        next_batch_at = now() + make_interval(secs => endpoint.batch_interval_ms / 1000.0)
      where e.id = candidate;
    end if;
    return query
      with leased as (
        update realtime.webhook_deliveries d set state = 'leased', attempts = d.attempts + 1, lease_holder = holder,
          leased_at = now(), lease_expires_at = now() + make_interval(secs => lease_ms / 1000.0),
          first_attempt_at = coalesce(d.first_attempt_at, now()), batch_id = batch,
          batch_index = case when batch is not null then coalesce(case when d.batch_id = batch then d.batch_index end, p.place::integer - 1) end
        from unnest(picked) with ordinality as p (id, place)
        where d.id = p.id and d.state = 'pending'
        returning d.*, p.place
      )
      select l.id, l.endpoint_id, l.message_id, l.channel_name, l.event_name, l.body, l.batch_id, l.attempts, endpoint.url, endpoint.token,
        array_remove(array[endpoint.secret,
          case when endpoint.previous_secret_expires_at > now() then endpoint.previous_secret end], null)
      from leased l
      order by l.place;
    request_room := request_room - case when batch is null then cardinality(picked) else 1 end;
    byte_room := byte_room - (select coalesce(sum(octet_length(d.body)), 0) from realtime.webhook_deliveries d where d.id = any (picked));
  end loop;
end
$$;

revoke execute on function realtime.lease_deliveries(text, integer, integer, bigint) from public;
comment on function realtime.lease_deliveries(text, integer, integer, bigint) is 'Internal: leases what is to be sent now to one worker.';
