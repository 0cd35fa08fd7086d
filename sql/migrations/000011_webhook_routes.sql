-- Where messages are sent to, and how their deliveries wait: what webhooks out need beyond their tables.

alter table realtime.webhook_endpoints
  add column plan text not null default 'standard',
  add column like_pattern text collate "C" not null generated always as (
    replace(replace(replace(replace(pattern, '\', '\\'), '_', '\_'), '%', '*'), '*', '_%')) stored,
  add column next_batch_at timestamptz,
  add constraint webhook_endpoints_plan_known check (plan in ('standard', 'free'));
comment on column realtime.webhook_endpoints.plan is 'free: fifteen requests at once instead of thirty.';
comment on column realtime.webhook_endpoints.like_pattern is 'The pattern for LIKE.';
comment on column realtime.webhook_endpoints.next_batch_at is 'Before this no new batch is made.';

-- Partial, so that a new URL is no change of a key: nobody who refers to the row has to wait for it.
alter table realtime.webhook_endpoints drop constraint webhook_endpoints_channel_url_unique;
create unique index webhook_endpoints_channel_url on realtime.webhook_endpoints (channel_id, url) where channel_id is not null;

-- No foreign key to the endpoint: checking one locks the endpoint for every delivery, and whoever deletes an endpoint that has
-- a million of them would hold up the journal. What is deleted takes its deliveries along (functions/drop_deliveries.sql).
alter table realtime.webhook_deliveries
  drop constraint webhook_deliveries_endpoint_id_fkey,
  add column source text not null,
  add column is_counted boolean not null default false,
  add constraint webhook_deliveries_source_known check (source in ('messages', 'changes', 'test')),
  drop constraint webhook_deliveries_state_known,
  add constraint webhook_deliveries_state_known
    check (state in ('unjudged', 'hidden', 'pending', 'leased', 'delivered', 'dead', 'cancelled'));
comment on column realtime.webhook_deliveries.state is
  'unjudged: a row change whose visibility to the endpoint''s role is still to be decided; hidden: it may not see it.';
comment on column realtime.webhook_deliveries.is_counted is 'Its success is in wh_delivered_count.';

drop index realtime.webhook_deliveries_due;
create index webhook_deliveries_due on realtime.webhook_deliveries (endpoint_id, next_attempt_at, id) where state = 'pending';
create index webhook_deliveries_open on realtime.webhook_deliveries (endpoint_id, id) where state in ('pending', 'leased', 'unjudged');
-- How many are under way of an endpoint is asked at each lease: by the other indexes that would be a walk over all that waits.
create index webhook_deliveries_leased on realtime.webhook_deliveries (endpoint_id, lease_expires_at) where state = 'leased';
create index webhook_deliveries_unjudged on realtime.webhook_deliveries (id) where state = 'unjudged';

-- It takes the number of webhook deliveries now.
drop function if exists realtime.journal_messages(uuid[], timestamptz[], text[], integer[]);

-- Channels from before there were endpoints for their URLs; from now on a trigger keeps them (functions/sync_webhook_urls.sql).
insert into realtime.webhook_endpoints (channel_id, url, pattern, secret)
select distinct on (c.id, u.url) c.id, u.url, c.pattern,
  'whsec_' || encode(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 'base64')
from realtime.channels c, unnest(c.webhook_urls) u (url);
