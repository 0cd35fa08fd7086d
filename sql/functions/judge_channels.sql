-- Whether identities may subscribe to channels: each question asked under its role and claims, of the table
-- realtime.channels itself. Stable, so that all questions are judged in the snapshot of the calling statement; by
-- EXECUTE, because a static statement keeps the answer of a function that is marked immutable and reads claims.
-- As the caller, which is the policy login: only its roles can be taken. A role that row security does not bind
-- anywhere is judged from the catalogue and never taken. What a policy raises denies, and is told; what may pass
-- by itself (locks, resources, shutdown) ends the call. Each question ends by an error of our own, which takes back
-- whatever a policy's functions have set, for the session too. reads_table is null where there is no such table any more.
create or replace function realtime.judge_channels(roles text[], claims text[], channel_names text[], channel_ids uuid[], table_oids oid[])
returns table (question integer, sees_channel boolean, reads_table boolean, failure_state text, failure text)
language plpgsql stable
as $$
declare
  -- Looked up as the login: a role that is taken need not have any right on the schema.
  channels constant oid := 'realtime.channels'::pg_catalog.regclass;
  schema constant oid := 'realtime'::pg_catalog.regnamespace;
  role record;
begin
  perform pg_catalog.set_config('transaction_read_only', 'on', true), pg_catalog.set_config('lock_timeout', '1000', true);
  for place in 1 .. coalesce(pg_catalog.cardinality(roles), 0) loop
    question := place;
    sees_channel := false;
    reads_table := false;
    failure_state := null;
    failure := null;
    begin
      select r.oid, r.rolname, r.rolsuper or r.rolbypassrls as sees_all_rows into role
      from pg_catalog.pg_roles r
      where r.rolname = roles[place] and r.rolname <> session_user and r.rolname <> 'none';
      if role.oid is null then
        raise exception using errcode = '22023', message = pg_catalog.format('role %s does not exist', roles[place]);
      end if;

      if role.sees_all_rows then
        sees_channel := channel_ids[place] is not null
          and pg_catalog.has_schema_privilege(role.oid, schema, 'USAGE')
          and pg_catalog.has_column_privilege(role.oid, channels, 'pattern', 'SELECT');
      else
        perform pg_catalog.set_config('role', role.rolname::text, true),
                pg_catalog.set_config('request.jwt.claims', claims[place], true),
                pg_catalog.set_config('realtime.channel_name', channel_names[place], true);
        execute 'select exists (select from realtime.channels as c where c.id = $1)' into sees_channel using channel_ids[place];
      end if;

      reads_table := (
        select pg_catalog.has_schema_privilege(role.oid, c.relnamespace, 'USAGE')
           and pg_catalog.has_any_column_privilege(role.oid, c.oid, 'SELECT')
        from pg_catalog.pg_class c where c.oid = table_oids[place]);
      raise sqlstate 'RC000';
    exception
      when sqlstate 'RC000' then null;
      when assert_failure or others then
        if sqlstate in ('55P03', '40001', '40P01') or left(sqlstate, 2) in ('53', '57') then raise; end if;
        sees_channel := false;
        reads_table := false;
        failure_state := sqlstate;
        failure := left(sqlerrm, 300);
    end;
    return next;
  end loop;
  perform pg_catalog.set_config('role', 'none', true);
end
$$;

revoke execute on function realtime.judge_channels(text[], text[], text[], uuid[], oid[]) from public;
comment on function realtime.judge_channels(text[], text[], text[], uuid[], oid[]) is
  'Internal: which identities may SELECT which rows of realtime.channels and any column of which tables. For the policy login.';
