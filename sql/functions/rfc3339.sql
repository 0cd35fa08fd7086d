-- A time as the JSON of history prints it: RFC 3339 in UTC with Z, a fraction only if it is not zero.
create or replace function realtime.rfc3339(at timestamptz) returns text
language sql stable strict parallel safe
as $$ select rtrim(rtrim(to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '0'), '.') || 'Z' $$;

comment on function realtime.rfc3339(timestamptz) is 'A time as the JSON of history prints it.';
