-- Publishes from SQL, in the caller's transaction: the message appears if and only if it commits, in order
-- with its row changes. As the caller, under the INSERT policies of realtime.messages; no RETURNING, because
-- that would need SELECT on the row.
create or replace function realtime.publish(channel text, event text, payload jsonb) returns uuid
language plpgsql volatile
as $$
declare
  decided record;
begin
  perform set_config('realtime.channel_name', coalesce(channel, ''), true);
  if has_column_privilege('realtime.channels', 'pattern', 'select') then
    -- What the caller may see it may be told; whatever stays silent here meets the policy below.
    select d.* into decided from realtime.deciding_channel(channel) d;
    if decided.pattern is not null and not decided.enabled then
      raise exception using errcode = '42501', message = format('channel %s is disabled', decided.pattern);
    end if;
    if decided.pattern is not null and not decided.persist then
      raise exception using errcode = '42501', message = format('channel %s has persist = false: SQL cannot publish to it', decided.pattern),
        hint = 'publish over a socket or over HTTP, or set persist';
    end if;
  end if;
  insert into realtime.messages (channel_name, event_name, payload) values (channel, event, payload);
  return current_setting('realtime.last_message_id')::uuid;
end
$$;

comment on function realtime.publish(text, text, jsonb) is
  'Publishes a message when the current transaction commits; returns its messageId. Needs a policy for INSERT on realtime.messages.';
