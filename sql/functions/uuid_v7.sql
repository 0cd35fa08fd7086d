-- UUIDv7 (RFC 9562) for PostgreSQL before 18: the milliseconds of now, the rest random.
create or replace function realtime.uuid_v7() returns uuid
language sql volatile parallel safe
as $$
  select encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
        placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
      52, 1), 53, 1), 'hex')::uuid
$$;

comment on function realtime.uuid_v7() is 'A new UUIDv7.';
