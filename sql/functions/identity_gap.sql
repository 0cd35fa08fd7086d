-- Why UPDATE and DELETE of a table would fail in a publication that carries them; null if they would not.
-- Looked at on the table and on every partition: the check of Postgres is made on the leaf that is written.
-- https://www.postgresql.org/docs/18/logical-replication-publication.html#LOGICAL-REPLICATION-PUBLICATION-REPLICA-IDENTITY
create or replace function realtime.identity_gap(relid oid) returns text
language sql stable
as $$
  select format('%s %s', realtime.relation_name(m.member),
    case c.relreplident
      when 'd' then 'has no primary key'
      when 'n' then 'has replica identity nothing'
      when 'i' then 'has lost the index of its replica identity'
      else 'has replica identity full and virtual generated columns' end)
  from realtime.table_members(identity_gap.relid) m
    join pg_catalog.pg_class c on c.oid = m.member
  where case c.relreplident
      when 'd' then not exists (select from pg_catalog.pg_index i
        where i.indrelid = c.oid and i.indisprimary and i.indimmediate and i.indisvalid)
      when 'i' then not exists (select from pg_catalog.pg_index i
        where i.indrelid = c.oid and i.indisreplident and i.indimmediate and i.indisvalid)
      when 'f' then exists (select from pg_catalog.pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = 'v')
      else true end
  order by m.member <> identity_gap.relid, m.member::regclass::text
  limit 1
$$;

comment on function realtime.identity_gap(oid) is
  'Why a table has no identity by which updates and deletes could be published, naming the partition; null if it has one.';
