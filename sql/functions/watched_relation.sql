-- The table that a pattern watches: db:<table> without a wildcard outside quotes.
create or replace function realtime.watched_relation(pattern text) returns text
language sql immutable parallel safe
as $$
  select substr(pattern, 4)
  where pattern like 'db:%' and regexp_replace(pattern, '"([^"]|"")*"', '', 'g') !~ '[*%]'
$$;

comment on function realtime.watched_relation(text) is 'The spelling of the table that a channel pattern watches; null if it watches none.';
