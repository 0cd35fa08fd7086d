-- The publications that carry a relation itself, by whatever way: named, by its schema, or all tables.
create or replace function realtime.publications_of(relid oid) returns name[]
language sql stable
as $$
  select coalesce(array_agg(p.pubname order by p.pubname), '{}')
  from pg_catalog.pg_publication p
  where p.puballtables
     or exists (select from pg_catalog.pg_publication_rel r where r.prpubid = p.oid and r.prrelid = publications_of.relid)
     or exists (select from pg_catalog.pg_publication_namespace n join pg_catalog.pg_class c on c.relnamespace = n.pnnspid
                where n.pnpubid = p.oid and c.oid = publications_of.relid)
$$;

comment on function realtime.publications_of(oid) is 'Names of the publications that carry a table.';
