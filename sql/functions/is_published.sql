-- Whether a table is already in a publication of Rowcast's that fits its identity.
create or replace function realtime.is_published(relid oid, wants_full boolean) returns boolean
language sql stable
as $$
  select exists (
      select from realtime.carriers(is_published.relid) c (name)
      where c.name <> realtime.publication_prefix() or realtime.identity_gap(is_published.relid) is null)
    and (not wants_full or not exists (
      select from realtime.table_members(is_published.relid) m join pg_catalog.pg_class c on c.oid = m.member
      where c.relreplident <> 'f'))
$$;

comment on function realtime.is_published(oid, boolean) is 'Whether a table is carried by a publication of Rowcast''s already, with full identity if that is wanted.';
