-- The three publications, made once, before the slot; never dropped or made again while it lives (a stream
-- that reads WAL older than its publication is stuck on 15 and silently empty on 18).
create or replace function realtime.ensure_publications(prefix text) returns jsonb
language plpgsql
as $$
declare
  known text := (select s.publication_prefix from realtime.settings s);
  -- From 18 on, updates under replica identity full fail unless generated columns are published.
  generated text := case when current_setting('server_version_num')::integer >= 180000
    then ', publish_generated_columns = stored' else '' end;
  wanted record;
begin
  if known <> prefix then
    raise exception using errcode = '22023',
      message = format('this database was set up with the publication prefix %s, not %s', known, prefix),
      hint = format('set ROWCAST_PUBLICATION=%s, or run teardown first', known);
  end if;
  insert into realtime.settings (publication_prefix) values (prefix) on conflict do nothing;

  for wanted in
    select w.name, w.tables, w.actions
    from (values
      (prefix, '', 'insert, update, delete, truncate'),
      (prefix || '_inserts', '', 'insert, truncate'),
      (prefix || '_messages', 'for table realtime.messages', 'insert')) as w (name, tables, actions)
    where not exists (select from pg_catalog.pg_publication p where p.pubname = w.name)
  loop
    execute format('create publication %I %s with (publish = %L, publish_via_partition_root = true%s)',
      wanted.name, wanted.tables, wanted.actions, generated);
    execute format('comment on publication %I is %L', wanted.name, 'Rowcast: read by its replication slot. Do not drop or recreate it while the slot lives.');
  end loop;

  return (select jsonb_object_agg(p.pubname, p.oid::bigint) from pg_catalog.pg_publication p
          where p.pubname in (prefix, prefix || '_inserts', prefix || '_messages'));
end
$$;

revoke execute on function realtime.ensure_publications(text) from public;
comment on function realtime.ensure_publications(text) is 'Makes Rowcast''s publications where they are missing; returns name to oid.';
