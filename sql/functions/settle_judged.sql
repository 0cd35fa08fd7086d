-- Settles deliveries of row changes for endpoints with a role, once it is known what the role sees: a payload makes the body
-- of what is to be sent, under the event as it is delivered; a null one hides the change, which is no target then.
-- Changes are locked in the order of their positions, as whoever counts successes does. Returns how many are to be sent.
create or replace function realtime.settle_judged(ids bigint[], events text[], payloads text[], reason text) returns bigint
language plpgsql volatile
as $$
declare
  shown bigint;
  counted bigint;
begin
  update realtime.webhook_deliveries d set state = 'pending', event_name = j.event_name, next_attempt_at = now(),
    body = realtime.webhook_body(e.format, e.label, e.pattern, d.message_id, c.id, d.channel_name, j.event_name, j.payload,
      'system', null, null, d.message_created_at)
  from unnest(ids, events, payloads) as j (id, event_name, payload), realtime.webhook_deliveries o
    join realtime.webhook_endpoints e on e.id = o.endpoint_id
    left join realtime.channels c on c.pattern = o.channel_name
  where o.id = j.id and d.id = o.id and j.payload is not null and d.state = 'unjudged';
  get diagnostics shown = row_count;

  with hidden as (
    update realtime.webhook_deliveries d set state = 'hidden', finished_at = now(), last_error = settle_judged.reason
    from unnest(ids, payloads) as j (id, payload)
    where d.id = j.id and j.payload is null and d.state = 'unjudged'
    returning d.position, d.message_created_at
  ), taken_off as (
    select h.position, h.message_created_at, count(*) as targets from hidden h group by 1, 2
  ), held as materialized (
    select h.position, h.committed_at, t.targets
    from realtime.changes h join taken_off t on t.position = h.position and t.message_created_at = h.committed_at
    order by h.position
    for no key update of h
  ), changed as (
    update realtime.changes h set wh_audience_count = h.wh_audience_count - held.targets
    from held where h.position = held.position and h.committed_at = held.committed_at
    returning h.committed_at, h.relation, h.op, h.position, held.targets
  )
  select count(*) into counted from (select realtime.add_message_counts('changes', false, array_agg(c.committed_at), array_agg(c.relation), array_agg(c.op),
    array_agg(0::bigint), array_agg(-c.targets), array_agg(0::bigint), array_agg(c.position), array_agg(c.position))
  from changed c having count(*) > 0) n;
  return shown;
end
$$;

revoke execute on function realtime.settle_judged(bigint[], text[], text[], text) from public;
comment on function realtime.settle_judged(bigint[], text[], text[], text) is
  'Internal: makes pending or hidden what was judged; returns how many are to be sent.';
