-- Writes what came of attempts, in the order in which they ended: each with its attempt row, what follows for its endpoint,
-- and the first success of a delivery in the counts of its message. Only what is still leased to this worker, by this
-- attempt: a lease that ran out may be somebody else's. Endpoints are locked first, then deliveries, then messages, then
-- counts, each in one order. outcomes: delivered, failed, gone (nothing more is wanted), released (not the receiver's doing).
-- After five failures in a row an endpoint is only probed: its clock doubles with each probe that fails, and what was under
-- way when it began does not count.
create or replace function realtime.finish_deliveries(holder text, ids bigint[], tries integer[], outcomes text[], durations_ms integer[],
  statuses integer[], errors text[], response_heads text[], retries_ms integer[],
  initial_ms bigint, max_ms bigint, give_up_ms bigint, pause_after_ms bigint,
  out delivered integer, out dead integer, out lost integer, out stopped jsonb)
language plpgsql volatile
as $$
declare
  ended_endpoints uuid[];
  counted_sources text[];
  counted_ids uuid[];
  counted_times timestamptz[];
  counted_positions text[];
begin
  perform from realtime.webhook_endpoints e
  where e.id in (select d.endpoint_id from realtime.webhook_deliveries d where d.id = any (ids))
  order by e.id
  for no key update;

  with given as (
    select * from unnest(ids, tries, outcomes, durations_ms, statuses, errors, response_heads, retries_ms)
      with ordinality as g (id, attempt, outcome, duration_ms, status, error, response_head, retry_ms, place)
  ), held as materialized (
    select g.*, d.is_counted as was_counted, d.source, d.endpoint_id, d.leased_at, coalesce(d.batch_id::text, d.id::text) as request,
      g.outcome = 'gone' or g.outcome = 'failed' and bool_and(
        coalesce(d.give_up_at, d.created_at + make_interval(secs => give_up_ms / 1000.0)) <= now())
        over (partition by coalesce(d.batch_id::text, d.id::text)) as is_over
    from given g join realtime.webhook_deliveries d on d.id = g.id
    where d.state = 'leased' and d.lease_holder = holder and d.attempts = g.attempt
  ), ended as (
    update realtime.webhook_deliveries d set
      state = case when h.outcome = 'delivered' then 'delivered' when h.is_over then 'dead' else 'pending' end,
      finished_at = case when h.outcome = 'delivered' or h.is_over then now() end,
      next_attempt_at = case when h.outcome = 'failed' then now() + make_interval(secs => h.retry_ms / 1000.0) else now() end,
      give_up_at = coalesce(d.give_up_at, d.created_at + make_interval(secs => give_up_ms / 1000.0)),
      lease_holder = null, lease_expires_at = null,
      last_status = case when h.outcome = 'released' then d.last_status else h.status end,
      last_error = case when h.outcome = 'released' then d.last_error else h.error end,
      is_counted = d.is_counted or (h.outcome = 'delivered' and d.source <> 'test')
    from held h
    where d.id = h.id
    returning d.id, d.endpoint_id, d.message_id, d.message_created_at, d.position, d.state, h.outcome, h.was_counted, h.source
  ), attempted as (
    insert into realtime.webhook_attempts (delivery_id, attempt, started_at, duration_ms, status, error, response_head)
    select h.id, h.attempt, h.leased_at, h.duration_ms, h.status, h.error, h.response_head
    from held h
    where h.outcome <> 'released'
  ), results as (
    select h.endpoint_id, max(h.place) filter (where h.outcome = 'delivered') as last_success, bool_or(h.outcome = 'gone') as is_gone
    from held h
    where h.outcome <> 'released'
    group by 1
  ), failures as (
    -- Those after the last success; of a batch one.
    select h.endpoint_id, count(distinct h.request)::integer as failed, max(h.retry_ms) as retry_ms, max(h.leased_at) as last_leased_at
    from held h join results r using (endpoint_id)
    where h.outcome = 'failed' and h.place > coalesce(r.last_success, 0)
    group by 1
  ), judged as (
    select e.id, r.last_success is not null as has_success, r.is_gone, coalesce(f.failed, 0) as failed, f.retry_ms,
      e.consecutive_failures as before, e.next_attempt_at as clock, e.failing_since,
      case
        when r.last_success is not null then least(coalesce(f.failed, 0), 5)
        when e.consecutive_failures < 5 then least(e.consecutive_failures + coalesce(f.failed, 0), 5)
        when f.last_leased_at >= coalesce(e.next_attempt_at, '-infinity') then e.consecutive_failures + 1
        else e.consecutive_failures
      end as failures
    from realtime.webhook_endpoints e join results r on r.endpoint_id = e.id left join failures f on f.endpoint_id = e.id
  ), updated as (
    update realtime.webhook_endpoints e set
      consecutive_failures = j.failures,
      failing_since = case when j.failures = 0 then null when j.has_success then now() else coalesce(e.failing_since, now()) end,
      next_attempt_at = case
        when j.failures < 5 then null
        when j.failures = j.before and not j.has_success then e.next_attempt_at
        else now() + make_interval(secs => greatest(j.retry_ms,
          least(max_ms, initial_ms * 2.0 ^ least(j.failures - 5, 30)) * (0.5 + random() / 2)) / 1000.0)
      end,
      state = case
        when e.state <> 'active' then e.state
        when j.is_gone then 'disabled'
        when j.failures > 0 and j.failed > 0 and not j.has_success
          and e.failing_since < now() - make_interval(secs => pause_after_ms / 1000.0) then 'paused'
        else e.state
      end,
      state_reason = case
        when e.state <> 'active' then e.state_reason
        when j.is_gone then 'the receiver answered 410 Gone'
        when j.failures > 0 and j.failed > 0 and not j.has_success
          and e.failing_since < now() - make_interval(secs => pause_after_ms / 1000.0) then 'failing since ' || realtime.rfc3339(e.failing_since)
        else e.state_reason
      end
    from judged j
    where e.id = j.id and (j.failures <> j.before or j.is_gone or j.has_success and j.before > 0)
    returning e.id, e.state, e.state_reason, j.before, j.has_success
  ), woken as (
    -- Whoever works again gets what waited.
    update realtime.webhook_deliveries d set next_attempt_at = now()
    from updated u
    where u.has_success and u.before >= 5 and d.endpoint_id = u.id and d.state = 'pending' and d.next_attempt_at > now()
      and d.id <> all (ids)
  ), counted as (
    select n.source, n.message_id, n.message_created_at, n.position
    from ended n
    where n.outcome = 'delivered' and not n.was_counted and n.source <> 'test'
  )
  select (select array_agg(distinct n.endpoint_id) from ended n),
    (select count(*) from ended n where n.state = 'delivered'), (select count(*) from ended n where n.state = 'dead'),
    cardinality(ids) - (select count(*) from ended n),
    (select coalesce(jsonb_agg(jsonb_build_object('id', u.id, 'state', u.state, 'reason', u.state_reason)), '[]')
     from updated u join realtime.webhook_endpoints e on e.id = u.id where u.state <> e.state),
    (select array_agg(c.source) from counted c), (select array_agg(c.message_id) from counted c),
    (select array_agg(c.message_created_at) from counted c), (select array_agg(c.position) from counted c)
  into ended_endpoints, delivered, dead, lost, stopped, counted_sources, counted_ids, counted_times, counted_positions;

  update realtime.webhook_endpoints e set state_changed_at = now(), updated_at = now()
  where e.id in (select (s.value ->> 'id')::uuid from jsonb_array_elements(stopped) s);
  update realtime.webhook_endpoints e set open_batch_id = null
  where e.id = any (ended_endpoints) and e.open_batch_id is not null and not exists (
    select from realtime.webhook_deliveries d
    where d.batch_id = e.open_batch_id and d.endpoint_id = e.id and d.state in ('pending', 'leased'));
  if counted_ids is not null then
    perform realtime.count_delivered(counted_sources, counted_ids, counted_times, counted_positions);
  end if;
end
$$;

revoke execute on function realtime.finish_deliveries(text, bigint[], integer[], text[], integer[], integer[], text[], text[], integer[], bigint, bigint, bigint, bigint) from public;
comment on function realtime.finish_deliveries(text, bigint[], integer[], text[], integer[], integer[], text[], text[], integer[], bigint, bigint, bigint, bigint) is
  'Internal: writes what came of attempts, and what follows for endpoints and counts; returns the endpoints that were stopped by it.';
