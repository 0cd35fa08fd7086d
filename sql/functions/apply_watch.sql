-- What a change of a channel row means for the publications, done as the current user where it may.
-- Called twice: by a trigger as the writer of the row, then by one as Rowcast's login. What neither may do
-- ends the statement with the one to run instead.
create or replace function realtime.apply_watch(old_pattern text, new_pattern text, last_try boolean) returns void
language plpgsql set search_path = pg_catalog, pg_temp
as $$
declare
  before oid := realtime.relation_oid(realtime.watched_relation(old_pattern));
  after oid := realtime.relation_oid(realtime.watched_relation(new_pattern));
  full_asked boolean := current_setting('realtime.watch_full', true) = realtime.watched_relation(new_pattern);
  refusal text;
  gap text;
begin
  if before is not null and before is distinct from after and realtime.may_publish(null) then
    perform realtime.set_published(before, false);
  end if;
  if after is null then return; end if;

  refusal := realtime.watch_refusal(after);
  if refusal is not null then
    raise exception using errcode = '42809', message = 'cannot watch: ' || refusal;
  end if;
  if realtime.may_publish(after) then
    if full_asked then perform realtime.set_full(after); end if;
    perform realtime.set_published(after, true);
    if full_asked then
      update realtime.watched w set wants_full = true where w.relid = after and not w.wants_full;
    end if;
  elsif not last_try then
    return;
  elsif not realtime.is_published(after, full_asked) then
    raise exception using errcode = '42501',
      message = format('%I may not publish table %s: it is of %I', current_user, realtime.relation_name(after),
        (select c.relowner::regrole from pg_catalog.pg_class c where c.oid = after)::text),
      hint = format('run as a superuser: select realtime.watch(%L%s); or, for good: grant %s to %I;', after::regclass,
        case when full_asked then ', full => true' else '' end,
        (select c.relowner::regrole from pg_catalog.pg_class c where c.oid = after), current_user);
  end if;

  gap := realtime.identity_gap(after);
  if last_try and gap is not null then
    raise warning 'table % is watched for INSERT and TRUNCATE only: %', realtime.relation_name(after), gap
      using hint = format('add a primary key, or: alter table %s replica identity full;', after::regclass);
  end if;
end
$$;

revoke execute on function realtime.apply_watch(text, text, boolean) from public;
comment on function realtime.apply_watch(text, text, boolean) is 'Internal: makes the publications follow a changed channel row.';
