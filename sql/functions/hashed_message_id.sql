-- messageId of a message whose publisher chose an id: a UUIDv8 hash, so that senders cannot take each other's ids.
create or replace function realtime.hashed_message_id(sender_id text, channel_name text, id uuid) returns uuid
language sql immutable parallel safe
as $$
  select encode(set_bit(set_bit(set_bit(set_bit(set_bit(set_bit(h.bytes,
      55, 1), 54, 0), 53, 0), 52, 0), 71, 1), 70, 0), 'hex')::uuid
  from (select substring(sha256(convert_to(jsonb_build_array(sender_id, channel_name, id)::text, 'UTF8')) from 1 for 16) as bytes) h
$$;

comment on function realtime.hashed_message_id(text, text, uuid) is
  'The messageId of a message published with an id of the sender''s own choice.';
