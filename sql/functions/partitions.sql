-- The day partitions of realtime.messages and realtime.changes. Names are taken apart so that any name can be: conditions on
-- the day may be asked before the one that keeps the default partition out.
create or replace function realtime.partitions() returns table (parent text, day date, partition_name text)
language sql stable
as $$
  select r.relname::text, to_date(substring(p.relname::text from '_([0-9]{8})$'), 'YYYYMMDD'), p.relname::text
  from pg_catalog.pg_inherits i
    join pg_catalog.pg_class r on r.oid = i.inhparent
    join pg_catalog.pg_class p on p.oid = i.inhrelid
  where i.inhparent in ('realtime.messages'::regclass, 'realtime.changes'::regclass)
    and p.relnamespace = r.relnamespace and p.relname::text ~ ('^' || r.relname || '_[0-9]{8}$')
$$;

revoke execute on function realtime.partitions() from public;
comment on function realtime.partitions() is 'Internal: the partitions of history, one a table and day.';
