-- Channels: the configured patterns. A row whose pattern is db:<table> is what makes a table watched
-- (triggers in functions/watch_channels.sql). Closed by default: row security on, no policies.

create table realtime.channels (
  id uuid primary key default gen_random_uuid(),
  pattern text collate "C" not null,
  description text,
  webhook_urls text[],
  enabled boolean not null default true,
  persist boolean,
  retention_days integer,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  is_pattern boolean not null generated always as (regexp_replace(pattern, '"([^"]|"")*"', '', 'g') ~ '[*%]') stored,
  literal_length integer not null generated always as (length(translate(pattern, '*%', ''))) stored,
  like_pattern text collate "C" not null generated always as
    (replace(replace(replace(replace(pattern, '\', '\\'), '_', '\_'), '%', '*'), '*', '_%')) stored,
  constraint channels_pattern_unique unique (like_pattern),
  constraint channels_pattern_length check (length(pattern) between 1 and 200),
  constraint channels_pattern_grammar check (
    pattern ~ '^([A-Za-z0-9_.:/@=,;#*%-]|[^\u0001-\u007f])+$'
    or pattern ~ '^db:(("([^"]|"")+"|[^".]+)\.)?("([^"]|"")+"|[^".]+)$'),
  constraint channels_webhook_urls_filled check (array_position(webhook_urls, null) is null and coalesce(array_ndims(webhook_urls), 1) = 1),
  constraint channels_retention_days_positive check (retention_days > 0)
);
alter table realtime.channels enable row level security;

comment on table realtime.channels is 'Configured channels. SELECT policies on it decide who may subscribe, with realtime.channel_name() = the concrete name.';
comment on column realtime.channels.pattern is 'A name, or a pattern: * (or %) stands for one or more characters. Unique, * and % being the same. db:<table> watches that table.';
comment on column realtime.channels.webhook_urls is 'URLs that get each message; null = inherited from the next less specific match, {} = none. Not readable by app roles.';
comment on column realtime.channels.enabled is 'False closes every name that this row decides.';
comment on column realtime.channels.persist is 'False: ephemeral, never written. Null = inherited; true if nobody says.';
comment on column realtime.channels.retention_days is 'Days that history of this channel is kept, if shorter than the global setting. Null = inherited.';
comment on column realtime.channels.is_pattern is 'Holds a wildcard outside a quoted identifier.';
comment on column realtime.channels.literal_length is 'Characters that are no wildcard: the longer, the more specific.';
comment on column realtime.channels.like_pattern is 'The pattern for LIKE.';
