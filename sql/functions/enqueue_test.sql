-- Writes a delivery of an event that nobody published, so that a receiver can be tried out: on a channel that the endpoint's
-- pattern matches, in its format, whatever its events are. It is in no history, and is counted nowhere. Returns its id;
-- null where the endpoint is not there, or takes nothing.
create or replace function realtime.enqueue_test(endpoint_id uuid) returns bigint
language sql volatile
as $$
  insert into realtime.webhook_deliveries (endpoint_id, message_id, source, channel_name, event_name, message_created_at, body)
  select e.id, m.id, 'test', m.channel_name, 'webhook.test', now(),
    realtime.webhook_body(e.format, e.label, e.pattern, m.id, e.channel_id, m.channel_name, 'webhook.test', '{"test": true}',
      'system', null, null, now())
  from realtime.webhook_endpoints e
    cross join lateral (select gen_random_uuid() as id, regexp_replace(e.pattern, '[*%]', 'test', 'g') as channel_name) m
  where e.id = enqueue_test.endpoint_id and e.enabled and e.state <> 'disabled'
  returning id
$$;

revoke execute on function realtime.enqueue_test(uuid) from public;
comment on function realtime.enqueue_test(uuid) is 'Internal: writes the delivery of a test event; returns its id.';
