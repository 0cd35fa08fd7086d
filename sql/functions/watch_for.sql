-- Watching a table for roles, all or nothing: watch(), and one policy on realtime.channels that shows the roles the
-- table's channel row, and no other. The policy holds the row's id, so that it opens nothing once the row is gone,
-- whoever deleted it. What the roles may read of the table stays as the table's grants and policies say.
-- role_names null leaves the policy as it is, an empty list takes it away. Nothing is altered where all is right
-- already. A policy needs the table of channels for itself: it waits for that shortly, and before it takes the locks of
-- watch(). One at a time, because two that have read the table would each wait for the other to let it go; waiting for
-- one's turn is in nobody's way.
create or replace function realtime.watch_for(relation text, wants_full boolean, role_names text[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = 0
as $$
declare
  relid oid;
  name text;
  wanted text[] := array(select distinct r.name collate "C" from unnest(role_names) r (name) order by 1);
  missing text := (select r.name from unnest(role_names) r (name)
                   where not exists (select from pg_roles p where p.rolname = r.name) limit 1);
  policy name;
begin
  perform pg_advisory_xact_lock(hashtextextended('rowcast.watch_for', 0));
  perform set_config('lock_timeout', '1s', true);
  relid := realtime.relation_oid(relation);
  name := realtime.relation_name(relid);
  policy := realtime.watch_policy_name(name);
  if relid is null then
    raise exception using errcode = '42P01', message = format('table %s does not exist', relation),
      hint = 'a bare name is of schema public; names are case-sensitive';
  end if;
  if missing is not null then
    raise exception using errcode = '42704', message = format('role %s does not exist', missing);
  end if;
  if role_names is not null and realtime.watch_roles(name) is distinct from wanted then
    lock table realtime.channels in access exclusive mode;
  end if;

  perform realtime.watch(relid::regclass, wants_full);

  if role_names is null or realtime.watch_roles(name) = wanted then return; end if;
  if exists (select from pg_policy p where p.polrelid = 'realtime.channels'::regclass and p.polname = policy) then
    execute format('drop policy %I on realtime.channels', policy);
  end if;
  if wanted <> '{}' then
    execute format('create policy %I on realtime.channels for select to %s using (id = %L::uuid and pattern = %L)', policy,
      (select string_agg(quote_ident(r.name), ', ') from unnest(wanted) r (name)),
      (select c.id from realtime.channels c where c.pattern = 'db:' || name), 'db:' || name);
  end if;
end
$$;

revoke execute on function realtime.watch_for(text, boolean, text[]) from public;
comment on function realtime.watch_for(text, boolean, text[]) is
  'Internal: watches a table and lets roles subscribe to it by a policy of its own. For the server.';

create or replace function realtime.unwatch_for(relation text) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = 0
as $$
declare
  policy name := realtime.watch_policy_name(relation);
begin
  perform pg_advisory_xact_lock(hashtextextended('rowcast.watch_for', 0));
  perform set_config('lock_timeout', '1s', true);
  if exists (select from pg_policy p where p.polrelid = 'realtime.channels'::regclass and p.polname = policy) then
    execute format('drop policy %I on realtime.channels', policy);
  end if;
  delete from realtime.channels c where c.pattern = 'db:' || relation;
  return found;
end
$$;

revoke execute on function realtime.unwatch_for(text) from public;
comment on function realtime.unwatch_for(text) is
  'Internal: takes away the policy of watch_for() and ends the watching of a table, also of one that is gone; false where it was not watched. For the server.';
