-- Counts acknowledged deliveries into their changes and messages, and into the counts of both; what is gone from history is
-- left out. One entry a delivery. Rows are locked in one order, changes before messages, as the journal writes their counts.
create or replace function realtime.count_delivered(sources text[], ids uuid[], times timestamptz[], positions text[]) returns void
language plpgsql volatile
as $$
declare
  -- Without them a plan would look into every day there is.
  first_at timestamptz := (select min(t.at) from unnest(times) as t (at));
  last_at timestamptz := (select max(t.at) from unnest(times) as t (at));
  -- A result that says nothing wants a place all the same.
  unused text;
begin
  with given as (
    select u.position, u.at, count(*)::integer as added
    from unnest(sources, times, positions) as u (source, at, position)
    where u.source = 'changes'
    group by 1, 2
  ), locked as materialized (
    select c.position, c.committed_at, g.added
    from realtime.changes c join given g on c.position = g.position and c.committed_at = g.at
    where c.committed_at between first_at and last_at
    order by c.position
    for no key update of c
  ), placed as (
    update realtime.changes c set wh_delivered_count = c.wh_delivered_count + l.added
    from locked l
    where c.position = l.position and c.committed_at = l.committed_at and c.committed_at between first_at and last_at
    returning c.committed_at, c.relation, c.op, c.position, l.added
  ), listed as (
    select array_agg(p.committed_at) as times, array_agg(p.relation) as channel_keys, array_agg(p.op) as event_names,
      array_agg(0::bigint) as nothing, array_agg(p.added::bigint) as added, array_agg(p.position) as positions
    from placed p
    having count(*) > 0
  )
  select realtime.add_message_counts('changes', false, l.times, l.channel_keys, l.event_names, l.nothing, l.nothing, l.added,
    l.positions, l.positions)
  into unused from listed l;

  with given as (
    select u.id, u.at, count(*)::integer as added
    from unnest(sources, ids, times) as u (source, id, at)
    where u.source = 'messages'
    group by 1, 2
  ), locked as materialized (
    select m.id, m.created_at, g.added
    from realtime.messages m join given g on m.id = g.id and m.created_at = g.at
    where m.created_at between first_at and last_at and m.position is not null
    order by m.created_at, m.id
    for no key update of m
  ), placed as (
    update realtime.messages m set wh_delivered_count = m.wh_delivered_count + l.added
    from locked l
    where m.id = l.id and m.created_at = l.created_at and m.created_at between first_at and last_at
    returning m.created_at, m.channel_id::text as channel_key, m.event_name, m.position, l.added
  ), listed as (
    select array_agg(p.created_at) as times, array_agg(p.channel_key) as channel_keys, array_agg(p.event_name) as event_names,
      array_agg(0::bigint) as nothing, array_agg(p.added::bigint) as added, array_agg(p.position) as positions
    from placed p
    having count(*) > 0
  )
  select realtime.add_message_counts('messages', false, l.times, l.channel_keys, l.event_names, l.nothing, l.nothing, l.added,
    l.positions, l.positions)
  into unused from listed l;
end
$$;

revoke execute on function realtime.count_delivered(text[], uuid[], timestamptz[], text[]) from public;
comment on function realtime.count_delivered(text[], uuid[], timestamptz[], text[]) is
  'Internal: counts acknowledged deliveries into their messages and changes.';
