-- Why replica identity full would break the app's own UPDATE and DELETE of a table; null if it would not.
-- From 18 on Postgres refuses writes under FULL where a publication of the table leaves a generated column
-- out; virtual columns cannot be published at all. A column list of another publication does the same on
-- every version.
create or replace function realtime.full_refusal(relid oid) returns text
language plpgsql stable set search_path = pg_catalog, pg_temp
as $$
declare
  culprit text;
begin
  if current_setting('server_version_num')::integer >= 180000 then
    select format('%s has the virtual generated column %I', realtime.relation_name(a.attrelid), a.attname) into culprit
    from realtime.table_members(relid) m join pg_catalog.pg_attribute a on a.attrelid = m.member
    where a.attnum > 0 and not a.attisdropped and a.attgenerated = 'v' limit 1;
    if culprit is not null then return culprit; end if;

    -- Dynamic, because the column pubgencols is younger than 15.
    execute $q$
      select format('publication %I does not publish the generated columns of %s', p.pubname, realtime.relation_name($1))
      from pg_catalog.pg_publication p
      where (p.pubupdate or p.pubdelete) and p.pubgencols = 'n'
        and exists (select from realtime.table_members($1) m where p.pubname = any (realtime.publications_of(m.member)))
        and exists (select from realtime.table_members($1) m join pg_catalog.pg_attribute a on a.attrelid = m.member
                    where a.attnum > 0 and not a.attisdropped and a.attgenerated = 's')
      limit 1 $q$ into culprit using relid;
    if culprit is not null then return culprit; end if;
  end if;

  select format('publication %I has a column list for %s', p.pubname, realtime.relation_name(pr.prrelid)) into culprit
  from realtime.table_members(relid) m
    join pg_catalog.pg_publication_rel pr on pr.prrelid = m.member and pr.prattrs is not null
    join pg_catalog.pg_publication p on p.oid = pr.prpubid and (p.pubupdate or p.pubdelete)
  limit 1;
  return culprit;
end
$$;

comment on function realtime.full_refusal(oid) is
  'Why replica identity full would make updates of a table fail on this server; null if it would not.';
