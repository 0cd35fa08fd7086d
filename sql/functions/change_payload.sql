-- The payload of a row change as text: what jsonb could not hold is kept as text in a field of its own. Not strict, so that
-- it becomes part of the statement that calls it, and webhook_body with it.
create or replace function realtime.change_payload(payload jsonb) returns text
language sql immutable parallel safe
as $$ select coalesce(payload ->> 'text', payload::text) $$;

revoke execute on function realtime.change_payload(jsonb) from public;
comment on function realtime.change_payload(jsonb) is 'Internal: the payload of a row change as text.';
