-- Called by the server once a second: makes the publications follow what happened to the tables themselves.
-- A key was added or dropped, a table was dropped and made again, renamed, or made a partition. Each table by
-- itself, with a short lock timeout: what could not be done is told and tried again at the next call.
-- Writes nothing while all is right.
create or replace function realtime.reconcile_watched()
returns table (relation text, action text, ok boolean, detail text)
language plpgsql
set lock_timeout = '200ms'
as $$
declare
  prefix text := realtime.publication_prefix();
  entry record;
  problem text;
  full_asked boolean;
begin
  -- Channels first, then the lock of watching: the order of all who need both.
  lock table realtime.channels in access share mode;
  if prefix is null or not pg_try_advisory_xact_lock(hashtextextended('rowcast.watch', 0)) then return; end if;

  -- Published, but no channel row names it (any more).
  for entry in
    select u.relid, coalesce(w.relation, realtime.relation_name(u.relid)) as name
    from (
        select r.prrelid from pg_catalog.pg_publication_rel r join pg_catalog.pg_publication p on p.oid = r.prpubid
        where p.pubname in (prefix, prefix || '_inserts')
        union
        select b.relid from realtime.watched b
      ) u (relid)
      left join realtime.watched w on w.relid = u.relid
    where not exists (select from realtime.channels c where c.pattern = 'db:' || realtime.relation_name(u.relid))
  loop
    relation := entry.name; action := 'unpublish'; ok := true; detail := null;
    begin
      perform realtime.set_published(entry.relid, false);
    exception when others then
      ok := false; detail := sqlerrm;
    end;
    return next;
  end loop;

  -- Named by a channel row, but not published as it should be.
  for entry in
    select realtime.watched_relation(c.pattern) as name, k.relid
    from realtime.channels c cross join lateral (select realtime.relation_oid(realtime.watched_relation(c.pattern)) as relid offset 0) k
    where c.pattern like 'db:%' and realtime.watched_relation(c.pattern) is not null
      and c.pattern not in (select 'db:' || w.name from realtime.settled_watches() w (name))
  loop
    relation := entry.name; action := 'publish'; ok := false; detail := null;
    if entry.relid is null then
      action := 'missing'; detail := format('table %s does not exist', entry.name);
      return next;
      continue;
    end if;
    problem := realtime.watch_refusal(entry.relid);
    -- Partitions made later follow the root, as long as it still is what watch() made of it.
    full_asked := exists (select from realtime.watched w join pg_catalog.pg_class k on k.oid = w.relid
                          where w.relid = entry.relid and w.wants_full and k.relkind = 'p' and k.relreplident = 'f');
    continue when problem is null and realtime.is_published(entry.relid, full_asked)
      and exists (select from realtime.watched w where w.relid = entry.relid and w.relation = entry.name
                  and w.publication = any (realtime.publications_of(entry.relid))
                  and (w.publication <> prefix || '_inserts' or realtime.identity_gap(entry.relid) is not null));
    begin
      if problem is not null then
        -- It became a partition, or another thing of the same name took its place.
        detail := 'cannot watch: ' || problem;
        if exists (select from realtime.watched w where w.relid = entry.relid) then
          perform realtime.set_published(entry.relid, false);
        end if;
      elsif not realtime.may_publish(entry.relid) and not realtime.is_published(entry.relid, false) then
        detail := format('%I may not publish it; run as a superuser: select realtime.watch(%L);', current_user, entry.relid::regclass);
      else
        if full_asked then perform realtime.set_full(entry.relid); end if;
        detail := 'in ' || realtime.set_published(entry.relid, true) || coalesce(': ' || realtime.identity_gap(entry.relid), '');
        ok := true;
      end if;
    exception when others then
      detail := sqlerrm;
    end;
    return next;
  end loop;
end
$$;

revoke execute on function realtime.reconcile_watched() from public;
comment on function realtime.reconcile_watched() is
  'Makes the publications follow changed tables; one row for each thing done (ok) or not possible (not ok, with the statement to run).';
