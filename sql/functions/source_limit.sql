-- How many webhooks a source may take in a month, by its plan and by the limit that was set; null = any number.
create or replace function realtime.source_limit(plan text, monthly_limit integer) returns integer
language sql immutable parallel safe
as $$
  select case when plan = 'free' then coalesce(monthly_limit, 1000) else monthly_limit end
$$;

comment on function realtime.source_limit(text, integer) is 'Webhooks a month that a source may take; null = any number.';
