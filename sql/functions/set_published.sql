-- Puts a table into the publication that fits it, or takes it out; as the current user. Nothing is altered
-- where all is right already. An owner's own publication <prefix>_<owner> counts as well. Where the stream lacked something
-- of the table before, nobody may resume across that: it is watched anew, or its floor rises.
create or replace function realtime.set_published(relid oid, published boolean) returns text
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  prefix text := realtime.publication_prefix();
  gap text := realtime.identity_gap(relid);
  target name;
  carriers name[] := realtime.publications_of(relid);
  own name;
  -- It was in no publication, although it may have been watched: somebody took it out.
  is_anew boolean;
begin
  -- One at a time: two sessions that add the same table would fail with a duplicate.
  perform pg_advisory_xact_lock(hashtextextended('rowcast.watch', 0));
  carriers := realtime.publications_of(relid);
  if published then
    select c.name into target from unnest(carriers) c (name)
    where starts_with(c.name::text, prefix || '_') and c.name not in (prefix || '_inserts', prefix || '_messages');
    target := coalesce(target, case when gap is null then prefix else prefix || '_inserts' end);
  end if;
  for own in select o.name from unnest(array[prefix, prefix || '_inserts']::name[]) o (name)
             where o.name = any (carriers) and o.name is distinct from target loop
    execute format('alter publication %I drop table only %s', own, relid::regclass);
  end loop;
  if not published then
    delete from realtime.watched w where w.relid = set_published.relid;
    return null;
  end if;
  if not target = any (carriers) then
    execute format('alter publication %I add table only %s', target, relid::regclass);
  end if;
  is_anew := not exists (select from unnest(carriers) c (name)
    where c.name = prefix or starts_with(c.name::text, prefix || '_') and c.name <> prefix || '_messages');
  if target <> prefix || '_inserts' and prefix || '_inserts' = any (carriers) then
    -- Updates and deletes were not published until now.
    perform realtime.raise_floors('changes', 'not_watched', array[realtime.relation_name(set_published.relid)],
      array[realtime.current_position()]);
  end if;
  insert into realtime.watched as w (relid, relation, publication)
  values (set_published.relid, realtime.relation_name(set_published.relid), target)
  on conflict on constraint watched_pkey do update set relation = excluded.relation, publication = excluded.publication,
    completed = w.completed and not is_anew,
    complete_after = case when not is_anew then w.complete_after end,
    watched_at = case when is_anew then clock_timestamp() else w.watched_at end
    where is_anew or (w.relation, w.publication) is distinct from (excluded.relation, excluded.publication);
  return target;
end
$$;

revoke execute on function realtime.set_published(oid, boolean) from public;
comment on function realtime.set_published(oid, boolean) is
  'Publishes a table where its identity fits, or takes it out; returns the publication. Internal: watch a table by realtime.watch().';
