-- Canonical spelling of a table: bare for schema public, else schema.table; an identifier is quoted where
-- SQL would fold or not accept it. Keywords are not quoted: the spelling must not depend on the server version.
create or replace function realtime.relation_name(relid oid) returns text
language sql stable
as $$
  select case when n.nspname = 'public' then '' else
           case when n.nspname ~ '^[a-z_][a-z0-9_$]*$' then n.nspname::text
                else '"' || replace(n.nspname::text, '"', '""') || '"' end || '.' end
         || case when c.relname ~ '^[a-z_][a-z0-9_$]*$' then c.relname::text
                 else '"' || replace(c.relname::text, '"', '""') || '"' end
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.oid = relation_name.relid
$$;

comment on function realtime.relation_name(oid) is
  'Canonical spelling of a table, as in db: channels and realtime.changes.relation; null if there is none of that oid.';
