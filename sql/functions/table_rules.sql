-- What the catalogue says about reading tables: columns, and for each of the given roles its grants and the
-- SELECT policies that apply to it. Policies and types are deparsed with every name qualified (the empty search
-- path), because they are executed under the database's own one. Deparsing waits for whoever has locked a table
-- that a policy reads: not for long.
create or replace function realtime.table_rules(relids oid[], role_names text[])
returns table (relid oid, fingerprint text, rules jsonb)
language sql stable set search_path = '' set lock_timeout = '1s'
as $$
  select w.relid, f.digest, (
    select pg_catalog.jsonb_build_object(
      'schema', n.nspname, 'name', c.relname,
      'columns', realtime.column_rules(c.oid),
      'policies', realtime.policy_rules(c.oid),
      'roles', (
        select pg_catalog.jsonb_object_agg(r.rolname, pg_catalog.jsonb_build_object(
          'mayUse', pg_catalog.has_schema_privilege(r.oid, c.relnamespace, 'USAGE'),
          'isTakeable', not (r.rolsuper or r.rolbypassrls),
          'seesAllColumns', pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT'),
          'columns', (
            select coalesce(pg_catalog.jsonb_agg(a.attname order by a.attnum), '[]')
            from pg_catalog.pg_attribute a
            where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
              and pg_catalog.has_column_privilege(r.oid, c.oid, a.attnum, 'SELECT')),
          -- As check_enable_rls() decides it.
          'isBound', c.relrowsecurity and not (r.rolsuper or r.rolbypassrls)
            and (c.relforcerowsecurity or not pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE')),
          'policies', (
            select coalesce(pg_catalog.jsonb_agg(p.polname order by p.polname), '[]')
            from pg_catalog.pg_policy p
            where p.polrelid = c.oid and p.polcmd in ('r', '*') and p.polqual is not null
              and (p.polroles = '{0}' or exists (
                select from pg_catalog.unnest(p.polroles) g (oid) where pg_catalog.pg_has_role(r.oid, g.oid, 'USAGE'))))))
        from pg_catalog.pg_roles r where r.rolname = any (table_rules.role_names)))
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.oid = w.relid)
  from pg_catalog.unnest(table_rules.relids) with ordinality w (relid, place)
    join pg_catalog.unnest(realtime.rules_fingerprint(table_rules.relids)) with ordinality f (digest, place) using (place)
$$;

revoke execute on function realtime.table_rules(oid[], text[]) from public;
comment on function realtime.table_rules(oid[], text[]) is 'Columns, grants and SELECT policies of tables for the given roles, with the fingerprint under which they hold; rules is null where there is no table.';
