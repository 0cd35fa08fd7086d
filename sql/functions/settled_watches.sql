-- Watched tables of which one look at the catalogue says that all is right: plain tables with an identity, in
-- the publication for all actions. For the poll: it asks about every table every second, and only what is not
-- settled, or cannot be told at a glance (partitioned tables), is looked at closely.
create or replace function realtime.settled_watches() returns setof text
language sql stable
as $$
  select w.relation
  from realtime.watched w
    join pg_catalog.pg_class c on c.oid = w.relid
    join pg_catalog.pg_publication p on p.pubname = w.publication
    join pg_catalog.pg_publication_rel r on r.prpubid = p.oid and r.prrelid = c.oid
  where p.pubname = realtime.publication_prefix()
    and c.relkind = 'r' and c.relpersistence = 'p' and not c.relispartition
    and w.relation = realtime.relation_name(c.oid)
    and case c.relreplident
      when 'd' then exists (select from pg_catalog.pg_index i
        where i.indrelid = c.oid and i.indisprimary and i.indimmediate and i.indisvalid)
      when 'i' then exists (select from pg_catalog.pg_index i
        where i.indrelid = c.oid and i.indisreplident and i.indimmediate and i.indisvalid)
      when 'f' then not exists (select from pg_catalog.pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = 'v')
      else false end
$$;

comment on function realtime.settled_watches() is 'Watched plain tables that are published as they should be.';
