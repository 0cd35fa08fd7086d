-- Webhooks out: endpoints, deliveries (made in the journal's transaction, leased by workers) and attempts.
-- Private: secrets live here. Admin roles get them through the server.

create table realtime.webhook_endpoints (
  id uuid primary key default gen_random_uuid(),
  channel_id uuid references realtime.channels (id) on delete cascade,
  url text not null,
  pattern text collate "C" not null,
  description text,
  label text not null default encode(sha256(uuid_send(gen_random_uuid())), 'hex'),
  token text,
  secret text,
  previous_secret text,
  previous_secret_expires_at timestamptz,
  events text[],
  mode text not null default 'single',
  batch_interval_ms integer not null default 1000,
  ordered boolean not null default false,
  max_in_flight integer not null default 30,
  format text not null default 'message',
  role text,
  claims jsonb,
  enabled boolean not null default true,
  state text not null default 'active',
  state_reason text,
  state_changed_at timestamptz not null default now(),
  consecutive_failures integer not null default 0,
  failing_since timestamptz,
  next_attempt_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint webhook_endpoints_channel_url_unique unique (channel_id, url),
  constraint webhook_endpoints_mode_known check (mode in ('single', 'batch')),
  constraint webhook_endpoints_format_known check (format in ('message', 'event', 'payload')),
  constraint webhook_endpoints_state_known check (state in ('active', 'paused', 'disabled')),
  constraint webhook_endpoints_batch_interval_positive check (batch_interval_ms > 0),
  constraint webhook_endpoints_max_in_flight_positive check (max_in_flight > 0),
  constraint webhook_endpoints_claims_object check (jsonb_typeof(claims) = 'object')
);
alter table realtime.webhook_endpoints enable row level security;
comment on table realtime.webhook_endpoints is 'Where messages are sent to: rows of their own, and one for each of a channel''s webhook_urls.';
comment on column realtime.webhook_endpoints.channel_id is 'The channel whose webhook_urls made this endpoint; null for one of its own.';
comment on column realtime.webhook_endpoints.label is 'Public label (apiKey of the format event); never a secret.';
comment on column realtime.webhook_endpoints.secret is 'Standard Webhooks secret (whsec_…); previous_secret signs too while it is rotated.';
comment on column realtime.webhook_endpoints.role is 'Role whose visibility decides on row changes; null = admin.';
comment on column realtime.webhook_endpoints.next_attempt_at is 'The endpoint''s own backoff clock.';

create table realtime.webhook_deliveries (
  id bigint generated always as identity primary key,
  endpoint_id uuid not null references realtime.webhook_endpoints (id) on delete cascade,
  message_id uuid not null,
  position text collate "C",
  channel_name text collate "C" not null,
  event_name text collate "C" not null,
  message_created_at timestamptz not null,
  body bytea,
  batch_id uuid,
  batch_index integer,
  state text not null default 'pending',
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  lease_holder text,
  lease_expires_at timestamptz,
  first_attempt_at timestamptz,
  give_up_at timestamptz,
  finished_at timestamptz,
  last_status integer,
  last_error text,
  created_at timestamptz not null default now(),
  constraint webhook_deliveries_message_unique unique (endpoint_id, message_id),
  constraint webhook_deliveries_state_known check (state in ('pending', 'leased', 'delivered', 'dead', 'cancelled'))
);
alter table realtime.webhook_deliveries enable row level security;
create index webhook_deliveries_due on realtime.webhook_deliveries (endpoint_id, id) where state in ('pending', 'leased');
create index webhook_deliveries_batch on realtime.webhook_deliveries (batch_id) where batch_id is not null;
create index webhook_deliveries_created_at on realtime.webhook_deliveries (created_at);
comment on table realtime.webhook_deliveries is 'One message for one endpoint. Written in the journal''s transaction; the id order is the order of messages.';
comment on column realtime.webhook_deliveries.body is 'The bytes of the request, frozen: every attempt sends the same.';
comment on column realtime.webhook_deliveries.batch_id is 'The batch whose members were frozen at its first attempt.';

create table realtime.webhook_attempts (
  id bigint generated always as identity primary key,
  delivery_id bigint not null references realtime.webhook_deliveries (id) on delete cascade,
  attempt integer not null,
  started_at timestamptz not null,
  duration_ms integer,
  status integer,
  error text,
  response_head text,
  constraint webhook_attempts_unique unique (delivery_id, attempt)
);
alter table realtime.webhook_attempts enable row level security;
comment on table realtime.webhook_attempts is 'Every try of a delivery: status, latency, first bytes of the answer.';
