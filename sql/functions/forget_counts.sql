-- After TRUNCATE of messages or changes nothing of it is left to count, nor to resume from.
create or replace function realtime.forget_counts() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp
as $$
begin
  delete from realtime.message_counts c where c.source = tg_table_name;
  perform realtime.raise_floors(tg_table_name, 'removed', array['*'], array[realtime.current_position()]);
  return null;
end
$$;

revoke execute on function realtime.forget_counts() from public;
comment on function realtime.forget_counts() is 'Trigger of realtime.messages and realtime.changes: after TRUNCATE nothing is counted.';

create or replace trigger messages_forget_counts after truncate on realtime.messages
  for each statement execute function realtime.forget_counts();
create or replace trigger changes_forget_counts after truncate on realtime.changes
  for each statement execute function realtime.forget_counts();
