-- Watching a table by name: the same as writing its channel row. Both take effect with the caller's COMMIT.
create or replace function realtime.watch("table" regclass, "full" boolean default false) returns void
language plpgsql
as $$
declare
  relation text := realtime.relation_name("table");
  refusal text := realtime.watch_refusal("table");
begin
  if "table" is null then
    raise exception using errcode = '22004', message = 'no table given';
  end if;
  if refusal is not null then
    raise exception using errcode = '42809', message = 'cannot watch: ' || refusal;
  end if;
  perform set_config('realtime.watch_full', case when "full" then relation else '' end, true);
  insert into realtime.channels (pattern) values ('db:' || relation)
  on conflict (like_pattern) do update set pattern = excluded.pattern;
  perform set_config('realtime.watch_full', '', true);
end
$$;

comment on function realtime.watch(regclass, boolean) is
  'Watches a table: its changes go to db:<table> from the caller''s COMMIT on. full sets replica identity full (old rows in updates and deletes). Needs INSERT and UPDATE on realtime.channels.';

create or replace function realtime.unwatch(relation regclass) returns void
language plpgsql
as $$
begin
  delete from realtime.channels c where c.pattern = 'db:' || realtime.relation_name(unwatch.relation);
  if not found then
    raise notice 'table % is not watched', unwatch.relation;
  end if;
end
$$;

comment on function realtime.unwatch(regclass) is
  'Ends the watching of a table and its subscriptions with the caller''s COMMIT. The replica identity stays as it is.';
