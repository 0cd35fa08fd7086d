-- The webhook URLs of a concrete name: from the most specific match that says any, {} meaning none.
create or replace function realtime.channel_webhook_urls(name text) returns text[]
language sql stable
as $$
  select c.webhook_urls
  from realtime.webhook_channels(array[channel_webhook_urls.name]) w join realtime.channels c on c.id = w.channel_id
$$;

comment on function realtime.channel_webhook_urls(text) is
  'The webhook URLs that hold for a concrete name, inheritance included; null where no match names any or the channel is closed.';
