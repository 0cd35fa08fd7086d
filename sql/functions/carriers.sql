-- The publications of Rowcast's that carry a table, as it is now: also one in which its updates would fail.
create or replace function realtime.carriers(relid oid) returns setof name
language sql stable
as $$
  select p.name from unnest(realtime.publications_of(carriers.relid)) p (name), realtime.publication_prefix() f (prefix)
  where p.name <> f.prefix || '_messages' and (p.name = f.prefix or starts_with(p.name::text, f.prefix || '_'))
$$;

comment on function realtime.carriers(oid) is 'The publications of Rowcast''s that carry a table.';
