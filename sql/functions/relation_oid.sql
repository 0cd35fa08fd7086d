-- The relation that a spelling means: table or schema.table, quoted or not; names are taken as they stand,
-- without folding to lower case, and a bare one is of schema public whatever search_path says.
create or replace function realtime.relation_oid(spelling text) returns oid
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
  parts text[] := regexp_match(spelling, '^(?:("(?:[^"]|"")+"|[^".]+)\.)?("(?:[^"]|"")+"|[^".]+)$');
  schema_name text := 'public';
  table_name text;
begin
  if parts is null then return null; end if;
  table_name := case when left(parts[2], 1) = '"' then replace(substr(parts[2], 2, length(parts[2]) - 2), '""', '"') else parts[2] end;
  if parts[1] is not null then
    schema_name := case when left(parts[1], 1) = '"' then replace(substr(parts[1], 2, length(parts[1]) - 2), '""', '"') else parts[1] end;
  end if;
  return (
    select c.oid
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname::text = schema_name and c.relname::text = table_name);
end
$$;

comment on function realtime.relation_oid(text) is
  'The oid of the relation that a db: channel names (its part behind db:); null where there is none.';
