-- The webhook URLs of a concrete name: from the most specific match that says any, {} meaning none.
create or replace function realtime.channel_webhook_urls(name text) returns text[]
language sql stable
as $$
  select c.webhook_urls
  from realtime.channels c, realtime.deciding_channel(channel_webhook_urls.name) d
  where d.enabled and c.enabled and c.webhook_urls is not null
    and case when c.is_pattern then channel_webhook_urls.name like c.like_pattern else channel_webhook_urls.name = c.pattern end
  order by c.is_pattern, c.literal_length desc, c.created_at, c.id
  limit 1
$$;

comment on function realtime.channel_webhook_urls(text) is
  'The webhook URLs that hold for a concrete name, inheritance included; null where no match names any or the channel is closed.';
