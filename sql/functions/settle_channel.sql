-- Before a channel row is written: the canonical spelling of db: patterns (so that one table is one row),
-- and updated_at.
create or replace function realtime.settle_channel() returns trigger
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  relid oid;
begin
  if tg_op = 'UPDATE' then
    new.updated_at := now();
    if new.pattern = old.pattern then return new; end if;
  end if;
  if realtime.watched_relation(new.pattern) is not null then
    relid := realtime.relation_oid(realtime.watched_relation(new.pattern));
    if relid is null then
      raise exception using errcode = '42P01', message = format('table %s does not exist', realtime.watched_relation(new.pattern)),
        hint = 'a db: channel names a table of schema public, or db:schema.table; names are case-sensitive';
    end if;
    new.pattern := 'db:' || realtime.relation_name(relid);
  end if;
  return new;
end
$$;

comment on function realtime.settle_channel() is 'Trigger of realtime.channels: canonical spelling of db: patterns, and updated_at.';

create or replace trigger channels_settle before insert or update on realtime.channels
  for each row execute function realtime.settle_channel();
