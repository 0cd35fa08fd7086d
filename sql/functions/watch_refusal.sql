-- Why a relation cannot be watched at all; null if it can.
create or replace function realtime.watch_refusal(relid oid) returns text
language sql stable
as $$
  select case
    when n.nspname = 'realtime' then format('%s belongs to Rowcast', r.name)
    when c.oid < 16384 or n.nspname in ('pg_catalog', 'information_schema') or n.nspname like 'pg\_toast%'
      then format('%s is a system table', r.name)
    when c.relispartition then format('%s is a partition: watch its root %s',
      r.name, coalesce(realtime.relation_name(pg_catalog.pg_partition_root(c.oid)), '?'))
    when c.relkind = 'v' then format('%s is a view: watch the tables behind it', r.name)
    when c.relkind = 'm' then format('%s is a materialized view: watch the tables behind it', r.name)
    when c.relkind = 'f' then format('%s is a foreign table: its changes are not in this database''s WAL', r.name)
    when c.relkind not in ('r', 'p') then format('%s is no table', r.name)
    when c.relpersistence = 't' then format('%s is a temporary table', r.name)
    when c.relpersistence = 'u' then format('%s is unlogged: its changes are not in the WAL', r.name)
    when length(r.name) > 197 then format('%s is too long for a channel name (200 characters with db:)', r.name)
    end
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    cross join lateral (select realtime.relation_name(c.oid) as name) r
  where c.oid = watch_refusal.relid
$$;

comment on function realtime.watch_refusal(oid) is 'Why a relation cannot be watched; null if it can.';
