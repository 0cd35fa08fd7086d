-- Sets replica identity full on a table and all its partitions, as the current user, or says why not.
create or replace function realtime.set_full(relid oid) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  refusal text := realtime.full_refusal(relid);
  todo record;
begin
  if refusal is not null then
    raise exception using errcode = '0A000',
      message = format('replica identity full would make updates of %s fail: %s', realtime.relation_name(relid), refusal),
      hint = 'watch the table without full';
  end if;
  for todo in
    select m.member from realtime.table_members(relid) m join pg_catalog.pg_class c on c.oid = m.member
    where c.relreplident <> 'f'
  loop
    execute format('alter table only %s replica identity full', todo.member::regclass);
  end loop;
end
$$;

comment on function realtime.set_full(oid) is 'Sets replica identity full on a table and its partitions; refused where that would break the app''s writes.';
