-- The columns of a table as row images and filters need them: the type that exact texts are cast to, the type
-- of literals, the collation where it is not the type's own, and how generated columns come about.
create or replace function realtime.column_rules(relid oid) returns jsonb
language sql stable set search_path = ''
as $$
  select coalesce(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object(
    'name', a.attname, 'typeOid', a.atttypid::int8,
    'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
    'literalType', pg_catalog.format_type(b.oid, -1),
    'category', b.typcategory,
    -- Types without an order of their own borrow one (varchar), or that of their kind.
    'isOrdered', exists (
      select from pg_catalog.pg_opclass o join pg_catalog.pg_am m on m.oid = o.opcmethod and m.amname = 'btree'
      where o.opcdefault and (o.opcintype = b.oid
        or o.opcintype = case when b.typcategory = 'A' then 'pg_catalog.anyarray'::pg_catalog.regtype
             else case b.typtype when 'e' then 'pg_catalog.anyenum'::pg_catalog.regtype when 'r' then 'pg_catalog.anyrange'::pg_catalog.regtype
               when 'm' then 'pg_catalog.anymultirange'::pg_catalog.regtype when 'c' then 'pg_catalog.record'::pg_catalog.regtype end end::pg_catalog.oid
        or exists (select from pg_catalog.pg_cast k
             where k.castsource = b.oid and k.casttarget = o.opcintype and k.castmethod = 'b' and k.castcontext = 'i'))),
    -- A cast takes its collation from its input, not from its type: the default one needs no mention.
    'collation', case when a.attcollation <> 0 and not (a.attcollation = 100 and t.typcollation = 100)
      then (select pg_catalog.format('%I.%I', n.nspname, l.collname)
            from pg_catalog.pg_collation l join pg_catalog.pg_namespace n on n.oid = l.collnamespace where l.oid = a.attcollation) end,
    -- Behind the columns of a key an index may include others.
    'isPrimaryKey', exists (
      select from pg_catalog.pg_index i where i.indrelid = a.attrelid and i.indisprimary
        and a.attnum = any ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])),
    'isIdentity', exists (
      select from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indrelid
      where i.indrelid = a.attrelid and case when c.relreplident = 'i' then i.indisreplident else i.indisprimary end
        and a.attnum = any ((i.indkey::pg_catalog.int2[])[0:i.indnkeyatts - 1])),
    'generated', case when a.attgenerated <> '' then (
      select pg_catalog.jsonb_build_object(
        'expression', pg_catalog.pg_get_expr(d.adbin, d.adrelid),
        'columns', (
          select coalesce(pg_catalog.jsonb_agg(s.attname), '[]')
          from pg_catalog.pg_depend p join pg_catalog.pg_attribute s on s.attrelid = p.refobjid and s.attnum = p.refobjsubid
          where (p.classid, p.objid) = ('pg_catalog.pg_attrdef'::pg_catalog.regclass, d.oid)
            and p.refobjsubid <> a.attnum and p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and p.refobjid = a.attrelid and p.refobjsubid > 0))
      from pg_catalog.pg_attrdef d where d.adrelid = a.attrelid and d.adnum = a.attnum) end
  ) order by a.attnum), '[]')
  from pg_catalog.pg_attribute a
    join pg_catalog.pg_type t on t.oid = a.atttypid
    cross join lateral (
      with recursive based (oid, typtype, typcategory, typbasetype) as (
        select t.oid, t.typtype, t.typcategory, t.typbasetype
        union all
        select u.oid, u.typtype, u.typcategory, u.typbasetype
        from based d join pg_catalog.pg_type u on u.oid = d.typbasetype where d.typtype = 'd')
      select d.oid, d.typtype, d.typcategory from based d where d.typtype <> 'd') b
  where a.attrelid = column_rules.relid and a.attnum > 0 and not a.attisdropped
$$;

revoke execute on function realtime.column_rules(oid) from public;
comment on function realtime.column_rules(oid) is 'Internal: the columns of a table, as table_rules() gives them.';
