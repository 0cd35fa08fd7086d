-- Each of a channel's webhook_urls is an endpoint with a secret of its own. A URL that is taken away keeps its endpoint,
-- disabled, so that what was sent can still be looked up, and comes back with the same secret. Definer, because whoever
-- may write channels may not touch endpoints.
create or replace function realtime.sync_webhook_urls() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  urls text[] := coalesce(new.webhook_urls, '{}');
  removal constant text := 'removed from the channel';
begin
  if tg_op = 'UPDATE' and new.webhook_urls is not distinct from old.webhook_urls and new.pattern = old.pattern then
    return null;
  end if;

  with gone as (
    update realtime.webhook_endpoints e set state = 'disabled', state_reason = removal, state_changed_at = now(), updated_at = now()
    where e.channel_id = new.id and e.url <> all (urls) and e.state_reason is distinct from removal
    returning e.id
  )
  update realtime.webhook_deliveries d set state = 'cancelled', finished_at = now()
  from gone where d.endpoint_id = gone.id and d.state in ('unjudged', 'pending');

  insert into realtime.webhook_endpoints as e (channel_id, url, pattern, secret)
  select new.id, u.url, new.pattern, realtime.webhook_secret() from (select distinct n.url from unnest(urls) as n (url)) u
  on conflict (channel_id, url) where channel_id is not null do update set
    pattern = excluded.pattern, updated_at = now(),
    state = case when e.state_reason = removal then 'active' else e.state end,
    state_changed_at = case when e.state_reason = removal then now() else e.state_changed_at end,
    consecutive_failures = case when e.state_reason = removal then 0 else e.consecutive_failures end,
    failing_since = case when e.state_reason = removal then null else e.failing_since end,
    next_attempt_at = case when e.state_reason = removal then null else e.next_attempt_at end,
    state_reason = case when e.state_reason = removal then null else e.state_reason end;
  return null;
end
$$;

revoke execute on function realtime.sync_webhook_urls() from public;
comment on function realtime.sync_webhook_urls() is 'Trigger of realtime.channels: keeps an endpoint for each of webhook_urls.';

create or replace trigger channels_sync_webhook_urls after insert or update on realtime.channels
  for each row execute function realtime.sync_webhook_urls();
