-- A table and, if it is partitioned, all its partitions: what the identity of replication is looked up on.
create or replace function realtime.table_members(relid oid)
returns table (member oid, is_leaf boolean)
language sql stable
as $$
  select c.oid, coalesce(t.isleaf, true)
  from pg_catalog.pg_class c left join lateral pg_catalog.pg_partition_tree(c.oid) t on c.relkind = 'p'
  where c.oid = table_members.relid and c.relkind <> 'p'
  union all
  select t.relid, t.isleaf
  from pg_catalog.pg_class c cross join lateral pg_catalog.pg_partition_tree(c.oid) t
    join pg_catalog.pg_class m on m.oid = t.relid and m.relkind in ('r', 'p')
  where c.oid = table_members.relid and c.relkind = 'p'
$$;

comment on function realtime.table_members(oid) is 'A table with all its partitions; foreign partitions are left out, they write no WAL.';
