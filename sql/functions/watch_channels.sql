-- Watching follows the channel rows: plain DML on realtime.channels, watch(), unwatch() and the REST calls
-- all end here. Two triggers, in the order of their names: first as the writer of the row, then as
-- Rowcast's login.
create or replace function realtime.watch_as_writer() returns trigger
language plpgsql
as $$
begin
  -- A writer without rights on the publications leaves the work to the second trigger.
  if not realtime.may_publish(null) then return null; end if;
  perform realtime.apply_watch(
    case when tg_op <> 'INSERT' then old.pattern end, case when tg_op <> 'DELETE' then new.pattern end, false);
  return null;
end
$$;
comment on function realtime.watch_as_writer() is 'Trigger of realtime.channels: publishes tables as the writer of the row, where that role may.';

create or replace function realtime.watch_as_owner() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  perform realtime.apply_watch(
    case when tg_op <> 'INSERT' then old.pattern end, case when tg_op <> 'DELETE' then new.pattern end, true);
  return null;
end
$$;
revoke execute on function realtime.watch_as_owner() from public;
comment on function realtime.watch_as_owner() is 'Trigger of realtime.channels: publishes tables as Rowcast''s login, or raises the statement to run.';

create or replace function realtime.unwatch_all() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
declare
  relid oid;
begin
  for relid in select w.relid from realtime.watched w loop
    perform realtime.set_published(relid, false);
  end loop;
  return null;
end
$$;
revoke execute on function realtime.unwatch_all() from public;
comment on function realtime.unwatch_all() is 'Trigger of realtime.channels: TRUNCATE ends the watching of every table.';

create or replace trigger channels_watch_1_as_writer after insert or delete or update of pattern on realtime.channels
  for each row execute function realtime.watch_as_writer();
create or replace trigger channels_watch_2_as_owner after insert or delete or update of pattern on realtime.channels
  for each row execute function realtime.watch_as_owner();
create or replace trigger channels_watch_3_truncated after truncate on realtime.channels
  for each statement execute function realtime.unwatch_all();
