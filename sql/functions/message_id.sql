-- messageId of a row change: a UUIDv8 that can be read back into its position by whoever knows the system
-- identifier. 122 bits = epoch (32), commit LSN >> 3 (61; commit LSNs are 8-byte aligned), index (29), XORed
-- with the first 122 bits of sha256('rowcast:' || system identifier), laid around version and variant (RFC 9562).
create or replace function realtime.message_id("position" text, system_identifier text) returns uuid
language sql immutable strict parallel safe
as $$
  select (lpad(to_hex(substr(u.bits, 1, 64)::bit(64)::bigint), 16, '0')
       || lpad(to_hex(substr(u.bits, 65, 64)::bit(64)::bigint), 16, '0'))::uuid
  from (
    select substr(p.bits, 1, 48) || '1000' || substr(p.bits, 49, 12) || '10' || substr(p.bits, 61, 62) as bits
    from (
      select ((('x' || substr("position", 1, 8))::bit(32)
            || substring(('x' || substr("position", 10, 16))::bit(64) from 1 for 61)
            || substring(('x' || substr("position", 27, 8))::bit(32) from 4 for 29))::bit(122)
           # ('x' || encode(sha256(convert_to('rowcast:' || system_identifier, 'UTF8')), 'hex'))::bit(256)::bit(122))::text as bits
    ) p
  ) u
$$;

comment on function realtime.message_id(text, text) is
  'The messageId of the row change at a position, in the cluster of that system identifier.';

create or replace function realtime.message_id("position" text) returns uuid
language sql stable strict
as $$ select realtime.message_id("position", (select c.system_identifier from realtime.checkpoint c)) $$;

comment on function realtime.message_id(text) is
  'The messageId of the row change at a position, in the cluster that realtime.checkpoint knows; null before the first start.';
