-- Deletes rows of messages or changes by their keys, through the root, so that they are counted. What somebody else holds
-- is left for the next time: who deletes here waits for nobody, so nobody waits for him in a circle.
-- The span of the times keeps all other partitions out of it, and loops keep it from reading a partition whole.
create or replace function realtime.delete_rows(parent text, keys text[], times timestamptz[]) returns bigint
language plpgsql volatile set enable_hashjoin = off set enable_mergejoin = off
as $$
declare
  -- The columns and the type of the key, and the column of the time.
  columns text[] := case delete_rows.parent when 'messages' then '{id,uuid,created_at}' else '{position,text,committed_at}' end;
  deleted bigint;
begin
  if cardinality(keys) is null or cardinality(keys) = 0 then return 0; end if;
  execute format($delete$
    with held as materialized (
      select r.tableoid, r.ctid from unnest($1::%3$s[], $2) k (key, at)
        join realtime.%1$I r on r.%2$I = k.key and r.%4$I = k.at
      where r.%4$I between $3 and $4
      for update of r skip locked)
    delete from realtime.%1$I r using held h
    where r.ctid = h.ctid and r.tableoid = h.tableoid and r.%4$I between $3 and $4 $delete$,
    delete_rows.parent, columns[1], columns[2], columns[3])
  using keys, times, (select min(t.at) from unnest(times) t (at)), (select max(t.at) from unnest(times) t (at));
  get diagnostics deleted = row_count;
  return deleted;
end
$$;

revoke execute on function realtime.delete_rows(text, text[], timestamptz[]) from public;
comment on function realtime.delete_rows(text, text[], timestamptz[]) is
  'Internal: deletes messages or changes by key and time, but for those that are locked; returns how many.';
