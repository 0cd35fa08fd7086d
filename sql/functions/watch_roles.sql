-- The roles that watch_for() has let subscribe to a table. The policy names the channel row by its id: one that was
-- left behind by a row that is gone opens nothing, and does not count.
create or replace function realtime.watch_roles(relation text) returns text[]
language sql stable
as $$
  select coalesce(array_agg(r.rolname::text order by r.rolname::text collate "C"), '{}')
  from realtime.channels c
    join pg_catalog.pg_policy p on p.polrelid = 'realtime.channels'::regclass and p.polname = realtime.watch_policy_name(watch_roles.relation)
    join pg_catalog.pg_roles r on r.oid = any (p.polroles)
  where c.pattern = 'db:' || watch_roles.relation
    and position(c.id::text in pg_catalog.pg_get_expr(p.polqual, p.polrelid)) > 0
$$;

revoke execute on function realtime.watch_roles(text) from public;
comment on function realtime.watch_roles(text) is 'Internal: the roles that may subscribe to a table by the policy of watch_for().';
