-- The concrete channel name that a policy is asked about.
create or replace function realtime.channel_name() returns text
language sql stable parallel safe
as $$ select nullif(current_setting('realtime.channel_name', true), '') $$;

comment on function realtime.channel_name() is
  'The concrete channel name that a policy on realtime.channels or realtime.messages is asked about; null outside such a question.';
