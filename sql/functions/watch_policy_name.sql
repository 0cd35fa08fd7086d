-- The name of the policy by which watch_for() lets roles subscribe to a table: legible where it fits.
create or replace function realtime.watch_policy_name(relation text) returns name
language sql immutable parallel safe
as $$
  select ('rowcast_watch_' || case when octet_length(relation) <= 49 then relation else md5(relation) end)::name
$$;

revoke execute on function realtime.watch_policy_name(text) from public;
comment on function realtime.watch_policy_name(text) is 'Internal: the policy on realtime.channels that watch_for() makes for a table.';
