-- Whether what table_rules() says of tables still holds: one text for each, in their order, that changes with
-- every change of columns, grants, policies, row security, owner, role membership and role attributes, and of
-- the names of what policies mention: they are asked as text, and a name may pass from one function to another. Read
-- in the snapshot of the calling statement, so an answer that is judged in the same snapshot is judged by these rules.
create or replace function realtime.rules_fingerprint(relids oid[]) returns text[]
language sql stable set search_path = pg_catalog, pg_temp
as $$
  with shared (digest) as (
    select concat_ws(' ',
      (select concat_ws(' ', count(*), sum(hashtextextended(concat_ws(' ', m.roleid, m.member, m.xmin), 0)))
         from pg_auth_members m),
      (select sum(hashtextextended(concat_ws(' ', r.oid, r.rolname, r.rolsuper, r.rolinherit, r.rolbypassrls), 0))
         from pg_roles r))
  )
  select coalesce(array_agg(
    case when c.oid is null then 'gone' else hashtextextended(concat_ws(' ', s.digest, c.oid, c.xmin, n.xmin,
      (select string_agg(concat_ws(' ', a.attnum, a.xmin, t.typname, t.typnamespace, d.xmin), ',' order by a.attnum)
         from pg_attribute a
           left join pg_type t on t.oid = a.atttypid
           left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
         where a.attrelid = c.oid and a.attnum > 0),
      (select string_agg(concat_ws(' ', p.oid, p.xmin), ',' order by p.oid) from pg_policy p where p.polrelid = c.oid),
      (select string_agg(concat_ws(' ', f.xmin, r.relname, a.attname, t.typname, m.nspname), ',' order by d.objid, d.refclassid, d.refobjid, d.refobjsubid)
         from pg_depend d
           left join pg_proc f on d.refclassid = 'pg_proc'::regclass and f.oid = d.refobjid
           left join pg_class r on d.refclassid = 'pg_class'::regclass and r.oid = d.refobjid
           left join pg_attribute a on d.refclassid = 'pg_class'::regclass and a.attrelid = d.refobjid and a.attnum = d.refobjsubid
           left join pg_type t on d.refclassid = 'pg_type'::regclass and t.oid = d.refobjid
           left join pg_namespace m on m.oid = coalesce(f.pronamespace, r.relnamespace, t.typnamespace)
         where d.classid = 'pg_policy'::regclass and d.objid in (select p.oid from pg_policy p where p.polrelid = c.oid)
            or d.classid = 'pg_attrdef'::regclass and d.objid in (select e.oid from pg_attrdef e where e.adrelid = c.oid))), 0)::text end
    order by w.place), '{}')
  from unnest(rules_fingerprint.relids) with ordinality w (relid, place)
    cross join shared s
    left join pg_class c on c.oid = w.relid
    left join pg_namespace n on n.oid = c.relnamespace
$$;

revoke execute on function realtime.rules_fingerprint(oid[]) from public;
comment on function realtime.rules_fingerprint(oid[]) is 'One text for each table that changes whenever who may read what of it may have changed; gone where there is no table.';
