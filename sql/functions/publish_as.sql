-- Publishes as somebody: for sockets and REST. The messages are INSERTs under the role and its claims, so its policies
-- decide; all of them are written, or none. By EXECUTE, because a static statement keeps the answer of a function that is
-- marked immutable and reads claims. As the caller: the policy login, which may take its roles and nothing else, or
-- (role_name null) the server's own login for admins, who are never taken.
-- A message to a channel with persist = false is judged by the same policies and not written: it fails at the
-- last constraint, which is checked after all of them, and comes back as is_ephemeral for whoever fans it out.
-- Raises as the INSERT does; the error's column name is the number of the message at fault.
create or replace function realtime.publish_as(role_name text, claims text, connection_id text,
  ids uuid[], channel_names text[], event_names text[], payloads text[])
returns table (message_id uuid, is_ephemeral boolean)
language plpgsql volatile
as $$
declare
  failed_constraint text;
  failure text;
begin
  perform pg_catalog.set_config('request.jwt.claims', claims, true),
          pg_catalog.set_config('realtime.connection_id', coalesce(connection_id, ''), true),
          pg_catalog.set_config('realtime.ephemeral', 'on', true);
  if role_name is not null then
    perform pg_catalog.set_config('role', r.rolname::text, true)
    from pg_catalog.pg_roles r
    where r.rolname = role_name and r.rolname <> session_user and r.rolname <> 'none';
    if not found then
      raise exception using errcode = '22023', message = pg_catalog.format('role %s does not exist', role_name);
    end if;
  end if;

  for place in 1 .. pg_catalog.cardinality(channel_names) loop
    begin
      execute 'insert into realtime.messages (id, channel_name, event_name, payload) values ($1, $2, $3, $4::pg_catalog.jsonb)'
        using ids[place], channel_names[place], event_names[place], payloads[place];
      is_ephemeral := false;
    exception
      when check_violation then
        get stacked diagnostics failed_constraint = constraint_name, failure = message_text;
        if failed_constraint <> 'messages_zz_not_written' then
          raise exception using errcode = '23514', constraint = failed_constraint, message = failure, column = place::text;
        end if;
        if ids[place] is not null then
          raise exception using errcode = '22023', column = place::text,
            message = 'an id cannot be chosen on a channel with persist = false: nothing of it is kept';
        end if;
        is_ephemeral := true;
      when assert_failure or others then
        -- What may pass by itself says nothing of the message. All else is told alike, also what policies raise: in
        -- a list the missing number would say that it was not the channel which was refused.
        if sqlstate in ('55P03', '40001', '40P01') or pg_catalog.left(sqlstate, 2) in ('53', '57') then raise; end if;
        get stacked diagnostics failed_constraint = constraint_name, failure = message_text;
        raise exception using errcode = sqlstate, constraint = failed_constraint, message = failure, column = place::text;
    end;
    -- What the trigger set in an INSERT that failed was taken back with it.
    message_id := case when is_ephemeral then pg_catalog.gen_random_uuid()
      else pg_catalog.current_setting('realtime.last_message_id')::uuid end;
    return next;
  end loop;
end
$$;

revoke execute on function realtime.publish_as(text, text, text, uuid[], text[], text[], text[]) from public;
comment on function realtime.publish_as(text, text, text, uuid[], text[], text[], text[]) is
  'Internal: publishes under a role and its claims, all messages or none. For the policy login and the server.';
