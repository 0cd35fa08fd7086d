-- The days from today on (UTC) that have no partition yet and can have one: a day of which the default partition holds rows
-- stays there, for rows cannot leave it without being streamed again.
create or replace function realtime.missing_partitions(days_ahead integer) returns table (parent text, day date)
language sql stable
as $$
  with wanted as (
    select r.parent, d.at::date as day
    from (values ('messages'), ('changes')) r (parent),
      generate_series(date_trunc('day', now() at time zone 'UTC'),
                      date_trunc('day', now() at time zone 'UTC') + make_interval(days => days_ahead), interval '1 day') d (at)
  ), taken as (
    select 'messages' as parent, (m.created_at at time zone 'UTC')::date as day
    from only realtime.messages_default m where m.created_at >= date_trunc('day', now(), 'UTC')
    group by 2
    union all
    select 'changes', (c.committed_at at time zone 'UTC')::date
    from only realtime.changes_default c where c.committed_at >= date_trunc('day', now(), 'UTC')
    group by 2
  )
  select w.parent, w.day from wanted w
  where not exists (select from realtime.partitions() p where p.parent = w.parent and p.day = w.day)
    and not exists (select from taken t where t.parent = w.parent and t.day = w.day)
  order by w.day, w.parent
$$;

revoke execute on function realtime.missing_partitions(integer) from public;
comment on function realtime.missing_partitions(integer) is 'Internal: which partitions are to be made, from today to so many days ahead.';
