-- What admins see and set of webhooks out: rules of an endpoint's fields, and the log of deliveries.

alter table realtime.webhook_endpoints
  add constraint webhook_endpoints_pattern_grammar check (
    length(pattern) between 1 and 200
    and (pattern ~ '^([A-Za-z0-9_.:/@=,;#*%-]|[^\u0001-\u007f])+$'
      or pattern ~ '^db:(("([^"]|"")+"|[^".]+)\.)?("([^"]|"")+"|[^".]+)$')),
  add constraint webhook_endpoints_free_in_flight check (plan <> 'free' or max_in_flight <= 15),
  add constraint webhook_endpoints_claims_of_role check (claims is null or role is not null);
comment on constraint webhook_endpoints_free_in_flight on realtime.webhook_endpoints is 'The plan free allows 15 requests at once.';

-- What is looked for most in the log, and is rare in it. More indexes would cost every message.
create index webhook_deliveries_dead on realtime.webhook_deliveries (endpoint_id, id) where state = 'dead';

create view realtime.webhook_log with (security_invoker = false) as
select d.id as delivery_id, d.endpoint_id, e.pattern, e.url, d.message_id, d.position, d.channel_name, d.event_name, d.source,
  d.state, d.attempts, d.batch_id, d.batch_index, d.created_at, d.finished_at,
  a.attempt, a.started_at, a.duration_ms, a.status, a.error, a.response_head
from realtime.webhook_deliveries d
  join realtime.webhook_endpoints e on e.id = d.endpoint_id
  left join realtime.webhook_attempts a on a.delivery_id = d.id;
revoke all on realtime.webhook_log from public;
comment on view realtime.webhook_log is
  'Deliveries of webhooks, a line for each attempt, and one for a delivery that had none yet. For admins. Order by delivery_id, attempt.';

-- Roles that were made admins before there was this view; who comes later gets it from grant_access().
do $$
declare
  admin_role name;
begin
  for admin_role in
    select r.rolname from realtime.granted_roles g join pg_catalog.pg_roles r on r.rolname = g.role_name and r.oid = g.role_oid
    where to_regclass('realtime.history') is not null
      and pg_catalog.has_table_privilege(r.oid, to_regclass('realtime.history'), 'select')
  loop
    execute format('grant select on realtime.webhook_log to %I', admin_role);
  end loop;
end
$$;
