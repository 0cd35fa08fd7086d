-- Webhooks in: sources (one source is one owner, its channel is in:<id>) and their usage by month. Private.

create table realtime.sources (
  id uuid primary key default gen_random_uuid(),
  name text not null check (length(name) between 1 and 200),
  slug text collate "C" not null unique,
  token_hash bytea not null unique,
  channel text collate "C" not null unique generated always as ('in:' || id::text) stored,
  plan text not null default 'free',
  monthly_limit integer,
  verification_secret text,
  enabled boolean not null default true,
  rotated_at timestamptz,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint sources_plan_known check (plan in ('free', 'metered')),
  constraint sources_monthly_limit_positive check (monthly_limit >= 0)
);
alter table realtime.sources enable row level security;
comment on table realtime.sources is 'Senders of incoming webhooks: POST /api/in/<slug>.';
comment on column realtime.sources.token_hash is 'sha256 of the token of its readers; the token itself is shown once.';
comment on column realtime.sources.monthly_limit is 'Requests accepted a month; null = what the plan says.';
comment on column realtime.sources.verification_secret is 'Standard Webhooks secret of the sender, where its signature is checked.';

create table realtime.source_usage (
  source_id uuid not null references realtime.sources (id) on delete cascade,
  month date not null check (extract(day from month) = 1),
  accepted bigint not null default 0,
  primary key (source_id, month)
);
alter table realtime.source_usage enable row level security;
comment on table realtime.source_usage is 'Requests answered with 200, by month.';
