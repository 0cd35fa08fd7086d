-- The prefix of the publications, for triggers that run as anyone who may write channels.
create or replace function realtime.publication_prefix() returns text
language sql stable security definer set search_path = pg_catalog, pg_temp
as $$ select s.publication_prefix from realtime.settings s $$;

comment on function realtime.publication_prefix() is 'The prefix of Rowcast''s publications (setting ROWCAST_PUBLICATION).';
