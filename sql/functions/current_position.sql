-- A position at or above that of everything committed so far: the end of the WAL in the epoch of now. Null before the first start.
create or replace function realtime.current_position() returns text
language sql volatile
as $$
  select format('%s-%s%s-ffffffff', lpad(to_hex(k.epoch), 8, '0'), lower(lpad(split_part(w.lsn, '/', 1), 8, '0')),
    lower(lpad(split_part(w.lsn, '/', 2), 8, '0')))
  from realtime.checkpoint k, (select pg_current_wal_insert_lsn()::text) as w (lsn)
  where k.epoch is not null
$$;

revoke execute on function realtime.current_position() from public;
comment on function realtime.current_position() is 'Internal: the end of the WAL as a position; null before the first start.';
