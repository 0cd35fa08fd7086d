-- Messages: intake and history of what is published. An INSERT here, by whatever way, is the one way to
-- publish; policies for INSERT decide who may. The trigger (functions/admit_message.sql) settles every
-- column that a publisher may not choose. Closed by default: row security on, no policies.

create table realtime.messages (
  id uuid not null,
  channel_id uuid not null,
  channel_name text collate "C" not null,
  event_name text collate "C" not null,
  payload jsonb not null,
  sender_type text collate "C" not null,
  sender_id text collate "C",
  connection_id text collate "C",
  position text collate "C",
  ws_audience_count integer not null default 0,
  wh_audience_count integer not null default 0,
  wh_delivered_count integer not null default 0,
  created_at timestamptz not null default now(),
  constraint messages_pkey primary key (id, created_at),
  constraint messages_channel_name_grammar check (
    length(channel_name) between 1 and 200 and channel_name ~ '^([A-Za-z0-9_.:/@=,;#-]|[^\u0001-\u007f])+$'),
  constraint messages_channel_name_reserved check (
    lower(channel_name collate "C") !~ '^(db:|presence:|realtime:)' and lower(channel_name collate "C") <> 'system'),
  constraint messages_event_name_length check (length(event_name) between 1 and 200),
  constraint messages_event_name_reserved check (
    lower(event_name collate "C") !~ '^(presence:|realtime:|pusher:|pusher_internal:|phx_)'
    and lower(event_name collate "C") not in ('system', 'error', 'connect', 'disconnect')),
  constraint messages_sender_type_known check (sender_type in ('user', 'system'))
) partition by range (created_at);
alter table realtime.messages enable row level security;

-- The trigger leaves channel_id null where the channel is unknown, disabled or not persisted. Refusing it by a
-- policy means that the publisher's own policies are asked first: who may not publish to a name gets one
-- and the same error, whether there is such a channel or not.
create policy rowcast_admitted on realtime.messages as restrictive for insert to public
  with check (channel_id is not null);

-- The app must never fail because nobody made a partition: day partitions are made ahead, this one takes the rest.
create table realtime.messages_default partition of realtime.messages default;
alter table realtime.messages_default enable row level security;

create index messages_channel_position on realtime.messages (channel_name, position);
create index messages_created_at on realtime.messages (created_at);

comment on table realtime.messages is 'Published messages. INSERT policies decide who may publish, SELECT policies who may read history. Partitioned by day.';
comment on column realtime.messages.id is 'messageId: a UUIDv7, or a UUIDv8 made of sender, channel and the id that the publisher gave (see realtime.message_ids).';
comment on column realtime.messages.channel_id is 'The row of realtime.channels that decided, when published. That row may be gone: realtime.history shows null then.';
comment on column realtime.messages.sender_type is 'user where request.jwt.claims were set, else system.';
comment on column realtime.messages.sender_id is 'request.jwt.claims ->> ''sub'', as text.';
comment on column realtime.messages.connection_id is 'The socket that published it, from the setting realtime.connection_id; null for SQL and REST.';
comment on column realtime.messages.position is 'Place in the order of everything; written by the journal after the commit was streamed, null until then.';
comment on column realtime.messages.ws_audience_count is 'Subscriptions written to at first fan-out.';
comment on column realtime.messages.wh_audience_count is 'Webhook deliveries made for it.';
comment on column realtime.messages.wh_delivered_count is 'Webhook deliveries that were acknowledged.';

create table realtime.message_ids (
  message_id uuid primary key,
  content_hash bytea not null,
  created_at timestamptz not null default now()
);
create index message_ids_created_at on realtime.message_ids (created_at);
alter table realtime.message_ids enable row level security;
comment on table realtime.message_ids is 'Ids chosen by publishers, kept 24 hours: the same id from the same sender on the same channel is one message.';
comment on column realtime.message_ids.message_id is 'Hash of sender, channel and chosen id: nobody can take an id away from another sender.';
comment on column realtime.message_ids.content_hash is 'sha256 of event and payload, to tell a repetition from a reuse.';
