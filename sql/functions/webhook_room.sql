-- The room of a message in the format event: what the last wildcard of the endpoint's pattern stands for in the name of the
-- channel; the name itself where there is none. Wildcards before it take as much as they can.
create or replace function realtime.webhook_room(pattern text, channel_name text) returns text
language sql immutable parallel safe
as $$
  select case when pattern !~ '[*%]' then channel_name
    else coalesce(
      (regexp_match(channel_name, '^' || regexp_replace(w.text, '[*]([^*]*)$', '(.+)\1') || '$'))[1], channel_name) end
  from (
    select regexp_replace(regexp_replace(translate(pattern, '%', '*'), '([][\\.^$+?(){}|])', '\\\1', 'g'),
      '[*](?=.*[*])', '.+', 'g') as text) w
$$;

revoke execute on function realtime.webhook_room(text, text) from public;
comment on function realtime.webhook_room(text, text) is 'Internal: the roomId of a message for an endpoint of that pattern.';
