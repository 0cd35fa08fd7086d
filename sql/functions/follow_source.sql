-- A source has a channel of its own: the row comes and goes with it. What was received stays in the history.
create or replace function realtime.follow_source() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
begin
  if tg_op = 'INSERT' then
    insert into realtime.channels (pattern, description) values (new.channel, 'Webhooks that come in for a source');
  else
    delete from realtime.channels where pattern = old.channel;
  end if;
  return null;
end
$$;

revoke execute on function realtime.follow_source() from public;
comment on function realtime.follow_source() is 'Trigger of realtime.sources: makes and deletes the channel of a source.';

create or replace trigger sources_channel after insert or delete on realtime.sources
  for each row execute function realtime.follow_source();
