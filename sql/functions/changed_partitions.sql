-- Watched partitioned tables of which a partition was attached, detached or truncated since the last call: the WAL tells
-- nothing of it under the name of the root (traps of Postgres, rule 12). Who truncates gives a table a new file; so do
-- VACUUM FULL and CLUSTER, which are told as well: rather once too often. Their floors rise in the same transaction.
create or replace function realtime.changed_partitions() returns table (relation text, at_position text)
language plpgsql
as $$
begin
  for relation in
    with seen as (
      select w.relid, w.members as before, (
        select string_agg(format('%s:%s', m.member, pg_relation_filenode(m.member)), ',' order by m.member)
        from realtime.table_members(w.relid) m where m.is_leaf) as members
      from realtime.watched w join pg_catalog.pg_class c on c.oid = w.relid and c.relkind = 'p'
    ), noted as (
      update realtime.watched w set members = coalesce(s.members, '')
      from seen s
      where s.relid = w.relid and s.before is distinct from coalesce(s.members, '')
      returning w.relation, s.before
    )
    select n.relation from noted n where n.before is not null order by n.relation
  loop
    at_position := realtime.current_position();
    perform realtime.raise_floors('changes', 'partitions', array[relation], array[at_position]);
    return next;
  end loop;
end
$$;

revoke execute on function realtime.changed_partitions() from public;
comment on function realtime.changed_partitions() is
  'Internal: watched partitioned tables whose partitions changed without a trace in the WAL since the last call.';
