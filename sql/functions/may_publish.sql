-- Whether the current user may add a table to Rowcast's publications: of the owner of both.
create or replace function realtime.may_publish(relid oid) returns boolean
language sql stable
as $$
  select coalesce(bool_and(pg_has_role(current_user, p.pubowner, 'usage')), false)
     and coalesce((select pg_has_role(current_user, c.relowner, 'usage') from pg_catalog.pg_class c where c.oid = may_publish.relid), true)
  from pg_catalog.pg_publication p
  where p.pubname in (realtime.publication_prefix(), realtime.publication_prefix() || '_inserts')
  having count(*) = 2
$$;

comment on function realtime.may_publish(oid) is 'Whether the current user may add this table to Rowcast''s publications.';
