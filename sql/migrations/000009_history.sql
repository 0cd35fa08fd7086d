-- History: indexes that page it by position whatever it is filtered by, counts that make statistics cheap, and
-- the bound of a message. Indexes of messages are partial: a message has its place in history once the journal
-- has given it a position, so that each index is written once, not at the INSERT and again at the UPDATE.

alter table realtime.settings add column max_message_bytes integer not null default 262144 check (max_message_bytes > 0);
comment on column realtime.settings.max_message_bytes is 'Largest payload of a published message, as text of jsonb; the server sets it to ROWCAST_MAX_MESSAGE at its start.';

drop index realtime.messages_channel_position, realtime.messages_created_at, realtime.changes_committed_at;
create index messages_position on realtime.messages (position) where position is not null;
create index messages_channel_name on realtime.messages (channel_name, position) where position is not null;
create index messages_channel_id on realtime.messages (channel_id, position) where position is not null;
create index messages_event_name on realtime.messages (event_name, position) where position is not null;
create index messages_sender_id on realtime.messages (sender_id, position) where position is not null and sender_id is not null;
create index changes_op on realtime.changes (op, position);

-- The last constraint in the order of names, by which they are checked, and checked after every policy: a message
-- that may be published but must not be written fails here and nowhere else (functions/publish_as.sql).
alter table realtime.messages add constraint messages_zz_not_written check (position is distinct from 'ephemeral');

create table realtime.message_counts (
  width_s integer not null,
  bucket timestamptz not null,
  source text collate "C" not null,
  channel_key text collate "C" not null,
  event_name text collate "C" not null,
  is_removed boolean not null default false,
  message_count bigint not null,
  wh_audience_count bigint not null default 0,
  wh_delivered_count bigint not null default 0,
  first_position text collate "C" not null,
  last_position text collate "C" not null,
  constraint message_counts_pkey primary key (width_s, bucket, source, channel_key, event_name, is_removed),
  constraint message_counts_width_known check (width_s in (60, 3600)),
  constraint message_counts_source_known check (source in ('messages', 'changes'))
) with (fillfactor = 50);
alter table realtime.message_counts enable row level security;
comment on table realtime.message_counts is 'Messages of history counted by minute and by hour of their time, written in the journal''s transaction. Statistics add them up.';
comment on column realtime.message_counts.width_s is 'Seconds of the bucket that begins at bucket: 60, and the same messages again in 3600.';
comment on column realtime.message_counts.source is 'messages: bucketed by created_at; changes: by committed_at.';
comment on column realtime.message_counts.channel_key is 'channel_id as text of messages, relation of changes.';
comment on column realtime.message_counts.is_removed is 'True for what was deleted from history again: to be subtracted. A row of its own, so that a deletion never waits for the journal, nor the journal for it.';
comment on column realtime.message_counts.first_position is 'No message of the bucket lies before this position, nor behind last_position.';

-- What history holds from before there were counts.
insert into realtime.message_counts (width_s, bucket, source, channel_key, event_name, message_count,
  wh_audience_count, wh_delivered_count, first_position, last_position)
select w.width_s, date_bin(make_interval(secs => w.width_s), h.at, 'epoch'), h.source, h.channel_key, h.event_name, count(*),
  sum(h.wh_audience_count), sum(h.wh_delivered_count), min(h.position), max(h.position)
from (
  select 'messages' as source, m.created_at as at, m.channel_id::text as channel_key, m.event_name, m.position,
         m.wh_audience_count, m.wh_delivered_count
  from realtime.messages m where m.position is not null
  union all
  select 'changes', c.committed_at, c.relation, c.op, c.position, c.wh_audience_count, c.wh_delivered_count
  from realtime.changes c) h, (values (60), (3600)) w (width_s)
group by 1, 2, 3, 4, 5;
