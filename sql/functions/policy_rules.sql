-- The SELECT policies of a table: expression, and what it reads of the row. A policy without USING says
-- nothing (as in Postgres). Which columns it reads is known from its dependencies; a reference to the whole
-- row leaves none there and is seen in the expression tree alone. System columns are among them: no image has any.
create or replace function realtime.policy_rules(relid oid) returns jsonb
language sql stable set search_path = ''
as $$
  select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
    'name', p.polname, 'isPermissive', p.polpermissive,
    'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid),
    'readsWholeRow', p.polqual::text like '%:varattno 0 %',
    'columns', (
      select coalesce(pg_catalog.jsonb_agg(distinct a.attname), '[]')
      from pg_catalog.pg_depend d join pg_catalog.pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
      where d.classid = 'pg_catalog.pg_policy'::pg_catalog.regclass and d.objid = p.oid
        and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid = p.polrelid and d.refobjsubid <> 0)
  ) order by p.polname), '[]')
  from pg_catalog.pg_policy p
  where p.polrelid = policy_rules.relid and p.polcmd in ('r', '*') and p.polqual is not null
$$;

revoke execute on function realtime.policy_rules(oid) from public;
comment on function realtime.policy_rules(oid) is 'Internal: the SELECT policies of a table, as table_rules() gives them.';
