-- Whether row security on realtime.channels does not bind a role: superuser, bypassrls, or of the owner.
create or replace function realtime.sees_all_channels(role_name name) returns boolean
language sql stable
as $$
  select coalesce((
    select r.rolsuper or r.rolbypassrls or pg_has_role(r.oid, c.relowner, 'usage')
    from pg_catalog.pg_roles r, pg_catalog.pg_class c
    where r.rolname = sees_all_channels.role_name and c.oid = 'realtime.channels'::regclass), false)
$$;

comment on function realtime.sees_all_channels(name) is 'Whether a role may know of every channel.';
