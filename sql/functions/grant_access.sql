-- The standard rights of app roles (subscribe and publish under policies) and admin roles. Given once to each
-- role: what a DBA revokes later stays revoked, and a role made later gets its rights at the next start.
create or replace function realtime.grant_access(app_roles text[], admin_roles text[]) returns text[]
language plpgsql
as $$
declare
  entry record;
  done text[] := '{}';
begin
  for entry in
    select r.rolname, r.oid, r.rolname = any (admin_roles) as is_admin, r.rolbypassrls or r.rolsuper as sees_all
    from pg_catalog.pg_roles r
    where r.rolname = any (app_roles || admin_roles)
      and not exists (select from realtime.granted_roles g where g.role_name = r.rolname and g.role_oid = r.oid)
    order by r.rolname
  loop
    -- Default privileges of the database may have opened tables and functions already. What
    -- PUBLIC may execute stays: publish(), watch() and the like run as their caller.
    execute format('revoke all on all tables in schema realtime from %I', entry.rolname);
    execute format('revoke all on all functions in schema realtime from %I', entry.rolname);
    execute format('grant usage on schema realtime to %I', entry.rolname);
    if entry.is_admin then
      execute format('grant select, insert, update, delete on realtime.channels, realtime.messages to %I', entry.rolname);
      execute format('grant select on realtime.history, realtime.webhook_log to %I', entry.rolname);
      if not entry.sees_all then
        execute format('create policy %I on realtime.channels to %I using (true) with check (true)', 'rowcast_admin_' || entry.rolname, entry.rolname);
        execute format('create policy %I on realtime.messages to %I using (true) with check (true)', 'rowcast_admin_' || entry.rolname, entry.rolname);
      end if;
    else
      execute format('grant select (id, pattern, description, enabled, persist, retention_days, created_at, updated_at,
        is_pattern, literal_length, like_pattern) on realtime.channels to %I', entry.rolname);
      execute format('grant select, insert (id, channel_name, event_name, payload) on realtime.messages to %I', entry.rolname);
    end if;
    insert into realtime.granted_roles as g (role_name, role_oid) values (entry.rolname, entry.oid)
    on conflict (role_name) do update set role_oid = excluded.role_oid, granted_at = now();
    done := done || entry.rolname::text;
  end loop;
  return done;
end
$$;

revoke execute on function realtime.grant_access(text[], text[]) from public;
comment on function realtime.grant_access(text[], text[]) is 'Gives app roles and admin roles their standard rights, once each; returns the roles that got them now.';
