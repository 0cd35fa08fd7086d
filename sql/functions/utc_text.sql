-- A value as it is printed where the time zone is UTC, whatever it is outside. A snapshot is read in the time zone of the
-- database, because policies may ask for the date; what it sends must be the same text that the stream carries.
create or replace function realtime.utc_text(value anyelement) returns text
language plpgsql stable strict set timezone to 'UTC'
as $$ begin return pg_catalog.format('%s', value); end $$;

comment on function realtime.utc_text(anyelement) is 'The text of a value in UTC, for snapshots.';
