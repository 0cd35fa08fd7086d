-- The one gate of realtime.messages: settles every column that a publisher may not choose, whatever way the
-- row came. Definer, because it reads channels and ids that the publisher may not see.
-- Unknown, disabled and unpersisted channels leave channel_id null, which the policy rowcast_admitted refuses
-- after the publisher's own policies; who is not subject to row security is told the reason at once.
-- A repeated id is skipped (the INSERT reports 0 rows); realtime.last_message_id then holds the id of the
-- message that it repeats.
-- What is refused before the channel is looked up says nothing of whether there is one.
-- Where the server publishes (realtime.ephemeral), a message to a channel that is not persisted is marked, so that it fails
-- at the constraint messages_zz_not_written, behind all policies. Whoever else sets that gets the constraint's error.
create or replace function realtime.admit_message() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  claims jsonb := nullif(current_setting('request.jwt.claims', true), '')::jsonb;
  channel record;
  hash bytea;
  known record;
  limit_bytes integer;
begin
  if new.created_at is distinct from now() then
    raise exception using errcode = '42501', message = 'created_at is not chosen by the publisher: leave it out';
  end if;
  new.sender_type := case when claims is null or claims = '{}' then 'system' else 'user' end;
  new.sender_id := claims ->> 'sub';
  new.connection_id := nullif(current_setting('realtime.connection_id', true), '');
  new.position := null;
  new.ws_audience_count := 0;
  new.wh_audience_count := 0;
  new.wh_delivered_count := 0;
  new.channel_id := null;
  if new.id is not null and new.sender_type = 'user' and (new.sender_id is null or claims ->> 'role' = 'anon') then
    raise exception using errcode = '22023', message = 'an id can be chosen only by senders with a sub, and not by anon';
  end if;
  -- Claims come from anywhere: a sender that no index can hold would stop the journal.
  if octet_length(new.sender_id) > 1000 then
    raise exception using errcode = '22023', message = 'the claim sub has at most 1000 bytes';
  end if;
  -- Always as text, which is what the WAL carries: the ten bytes of the number 1e131071 are 131,072 digits there.
  limit_bytes := (select s.max_message_bytes from realtime.settings s);
  if octet_length(new.payload::text) > limit_bytes then
    raise exception using errcode = '54000', message = format('payload_too_large: a payload has at most %s bytes', limit_bytes);
  end if;

  -- For policies that ask for the name as they do on realtime.channels.
  perform set_config('realtime.channel_name', coalesce(new.channel_name, ''), true);

  select d.* into channel from realtime.deciding_channel(new.channel_name) d;
  if channel.enabled and not channel.persist and current_setting('realtime.ephemeral', true) = 'on' then
    new.channel_id := channel.channel_id;
    new.position := 'ephemeral';
    new.id := coalesce(new.id, realtime.uuid_v7());
    return new;
  end if;
  if channel.channel_id is null or not channel.enabled or not channel.persist then
    if realtime.sees_all_channels(coalesce(nullif(current_setting('role'), 'none'), session_user)) then
      raise exception using errcode = '42501', message =
        case when channel.channel_id is null then format('no channel matches %s', new.channel_name)
             when not channel.enabled then format('channel %s is disabled', channel.pattern)
             else format('channel %s has persist = false: SQL cannot publish to it', channel.pattern) end;
    end if;
    new.id := coalesce(new.id, realtime.uuid_v7());
    return new;
  end if;
  new.channel_id := channel.channel_id;

  if new.id is null then
    new.id := realtime.uuid_v7();
  else
    hash := sha256(convert_to(jsonb_build_array(new.event_name, new.payload)::text, 'UTF8'));
    new.id := realtime.hashed_message_id(coalesce(new.sender_id, ''), new.channel_name, new.id);
    loop
      insert into realtime.message_ids as m (message_id, content_hash) values (new.id, hash)
      on conflict (message_id) do update set content_hash = excluded.content_hash, created_at = excluded.created_at
        where m.created_at < now() - interval '24 hours';
      exit when found;
      select m.content_hash into known from realtime.message_ids m where m.message_id = new.id;
      -- Between the two statements the id may have been removed by retention: then it is free.
      continue when not found;
      if known.content_hash <> hash then
        raise exception using errcode = '23505', constraint = 'message_ids_pkey', schema = 'realtime', table = 'message_ids',
          message = 'id_reused: this id was used for another message within 24 hours';
      end if;
      perform set_config('realtime.last_message_id', new.id::text, true);
      return null;
    end loop;
  end if;

  -- For publishers without SELECT, who could not use RETURNING.
  perform set_config('realtime.last_message_id', new.id::text, true);
  return new;
end
$$;

revoke execute on function realtime.admit_message() from public;
comment on function realtime.admit_message() is 'Trigger of realtime.messages: settles channel, sender, id and counters.';

create or replace trigger messages_admit before insert on realtime.messages
  for each row execute function realtime.admit_message();
