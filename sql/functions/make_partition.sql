-- Makes the partition of one day (UTC): as a table of its own, which disturbs nobody, then attached. That needs a moment in
-- which nobody writes to the default partition; it is waited for 200 ms, and publishers wait no longer. Fails with 55P03
-- after that, and leaves nothing behind. False if the day has one, or has rows in the default partition.
-- How long the default partition is searched for such rows is bounded by the caller's statement_timeout.
create or replace function realtime.make_partition(parent text, day date) returns boolean
language plpgsql set lock_timeout = '200ms'
as $$
declare
  leaf text := format('%s_%s', make_partition.parent, to_char(make_partition.day, 'YYYYMMDD'));
  grantee text;
begin
  if make_partition.parent not in ('messages', 'changes') then
    raise exception using errcode = '22023', message = format('%s is no table of history: messages or changes', make_partition.parent);
  end if;
  if exists (select from realtime.partitions() p where p.partition_name = leaf) then return false; end if;

  execute format('create table realtime.%I (like realtime.%I including all)', leaf, make_partition.parent);
  execute format('alter table realtime.%I enable row level security', leaf);
  execute format('comment on table realtime.%I is %L', leaf,
    format('realtime.%s of %s, UTC. Delete through the root: what is deleted here stays counted.', make_partition.parent, make_partition.day));
  -- Default privileges of the database may have opened it.
  for grantee in
    select distinct case acl.grantee when 0 then 'public' else acl.grantee::regrole::text end
    from pg_catalog.pg_class c, aclexplode(c.relacl) acl
    where c.oid = format('realtime.%I', leaf)::regclass and acl.grantee <> c.relowner
  loop
    execute format('revoke all on realtime.%I from %s', leaf, grantee);
  end loop;

  begin
    execute format('alter table realtime.%I attach partition realtime.%I for values from (%L) to (%L)', make_partition.parent,
      leaf, make_partition.day::timestamp at time zone 'UTC', (make_partition.day + 1)::timestamp at time zone 'UTC');
  exception when check_violation then
    execute format('drop table realtime.%I', leaf);
    return false;
  end;
  return true;
end
$$;

revoke execute on function realtime.make_partition(text, date) from public;
comment on function realtime.make_partition(text, date) is
  'Internal: makes the partition of realtime.messages or realtime.changes for one day; false if there is nothing to do or it cannot be.';
