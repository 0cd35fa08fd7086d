-- Deletes from a stretch of blocks of the default partition what is older than `before`. By blocks, because no index leads
-- to the old rows, among them those that never got a position, and each block needs to be looked at once.
create or replace function realtime.remove_default_rows(parent text, before timestamptz, first_block bigint, end_block bigint) returns bigint
language plpgsql volatile
as $$
declare
  -- The columns of key and time.
  columns text[] := case remove_default_rows.parent when 'messages' then '{id,created_at}' else '{position,committed_at}' end;
  keys text[];
  times timestamptz[];
begin
  execute format($rows$
    select array_agg(r.%2$I::text), array_agg(r.%3$I) from only realtime.%1$I r
    where r.ctid >= $2::tid and r.ctid < $3::tid and r.%3$I < $1 $rows$,
    remove_default_rows.parent || '_default', columns[1], columns[2])
  using before, format('(%s,0)', first_block), format('(%s,0)', end_block)
  into keys, times;
  return realtime.delete_rows(remove_default_rows.parent, keys, times);
end
$$;

revoke execute on function realtime.remove_default_rows(text, timestamptz, bigint, bigint) from public;
comment on function realtime.remove_default_rows(text, timestamptz, bigint, bigint) is
  'Internal: deletes old rows from a stretch of the default partition; returns how many.';
