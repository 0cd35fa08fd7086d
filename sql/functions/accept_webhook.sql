-- Takes one webhook for a source: counts it into its month and publishes it, both or neither. The count comes first and
-- holds the month's row until the end, so that the limit is exact however many come at once.
-- outcome: accepted (with message_id), used_up (the month's limit is reached), unknown (no such source, or a closed one),
-- closed (its channel was deleted, disabled, or is not persisted). Raises what the INSERT raises, then nothing is counted.
create or replace function realtime.accept_webhook(source_id uuid, received_at text, headers jsonb, payload jsonb)
returns table (outcome text, message_id uuid)
language plpgsql volatile
as $$
declare
  source realtime.sources;
  -- The message holds its own id, so that has to be known before the INSERT.
  chosen_id uuid := gen_random_uuid();
  this_month date := date_trunc('month', now() at time zone 'UTC')::date;
begin
  select s.* into source from realtime.sources s where s.id = accept_webhook.source_id and s.enabled;
  if not found then
    return query select 'unknown', null::uuid;
    return;
  end if;
  if not coalesce((select d.enabled and d.persist from realtime.deciding_channel(source.channel) d), false) then
    return query select 'closed', null::uuid;
    return;
  end if;

  insert into realtime.source_usage as u (source_id, month, accepted, monthly_limit)
  select source.id, this_month, 1, l.monthly_limit
  from (select realtime.source_limit(source.plan, source.monthly_limit) as monthly_limit) as l
  where coalesce(l.monthly_limit, 1) > 0
  on conflict on constraint source_usage_pkey do update set accepted = u.accepted + 1, monthly_limit = excluded.monthly_limit
    where coalesce(u.accepted < excluded.monthly_limit, true);
  if not found then
    return query select 'used_up', null::uuid;
    return;
  end if;

  -- Of the system, whatever the connection was used for before.
  perform set_config('request.jwt.claims', '', true), set_config('realtime.connection_id', '', true),
          set_config('realtime.ephemeral', '', true);
  message_id := realtime.hashed_message_id('', source.channel, chosen_id);
  insert into realtime.messages (id, channel_name, event_name, payload)
  values (chosen_id, source.channel, 'webhook', jsonb_build_object('type', 'webhook', 'id', message_id, 'slug', source.slug,
    'receivedAt', accept_webhook.received_at, 'headers', accept_webhook.headers, 'payload', accept_webhook.payload));
  outcome := 'accepted';
  return next;
end
$$;

revoke execute on function realtime.accept_webhook(uuid, text, jsonb, jsonb) from public;
comment on function realtime.accept_webhook(uuid, text, jsonb, jsonb) is
  'Internal: counts a webhook into the month of its source and publishes it, both or neither.';
