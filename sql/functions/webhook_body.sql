-- The bytes of a webhook request for one message, in one of the formats: message as the reference page prints it, event with
-- the room that the endpoint's pattern names, payload bare. The payload is spliced in as it is, so that no digit is lost.
create or replace function realtime.webhook_body(format text, label text, pattern text, message_id uuid, channel_id uuid, channel_name text,
  event_name text, payload text, sender_type text, sender_id text, connection_id text, at timestamptz) returns bytea
language sql stable
as $$
  select convert_to(case webhook_body.format
    when 'payload' then payload
    when 'event' then '{"apiKey":' || to_json(label) || ',"roomId":' || to_json(realtime.webhook_room(pattern, channel_name))
      || ',"channel":' || to_json(channel_name) || ',"event":' || to_json(event_name)
      || ',"date":"' || to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') || '","data":' || payload
      || ',"presenceId":' || coalesce(to_json(sender_id)::text, 'null')
      || ',"socketId":' || coalesce(to_json(connection_id)::text, 'null') || '}'
    else '{"messageId":"' || message_id || '","channelId":' || coalesce('"' || channel_id || '"', 'null')
      || ',"channelName":' || to_json(channel_name) || ',"event":' || to_json(event_name) || ',"payload":' || payload
      || ',"senderId":' || coalesce(to_json(sender_id)::text, 'null') || ',"senderType":' || to_json(sender_type)
      || ',"timestamp":"' || realtime.rfc3339(at) || '"}'
    end, 'UTF8')
$$;

revoke execute on function realtime.webhook_body(text, text, text, uuid, uuid, text, text, text, text, text, text, timestamptz) from public;
comment on function realtime.webhook_body(text, text, text, uuid, uuid, text, text, text, text, text, text, timestamptz) is
  'Internal: the bytes of a webhook request for one message.';
