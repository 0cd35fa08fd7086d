-- Changes: history of row changes, written by the journal alone (binary COPY, no row triggers). No grants,
-- no policies, in no publication: nothing comes back through the WAL, and no policy on messages opens it.

create table realtime.changes (
  position text collate "C" not null,
  committed_at timestamptz not null,
  xid xid8,
  relation text collate "C" not null,
  op text collate "C" not null,
  old_image jsonb,
  new_image jsonb,
  payload jsonb not null,
  ws_audience_count integer not null default 0,
  wh_audience_count integer not null default 0,
  wh_delivered_count integer not null default 0,
  constraint changes_pkey primary key (position, committed_at),
  constraint changes_op_known check (op in ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'))
) partition by range (committed_at);
alter table realtime.changes enable row level security;

create table realtime.changes_default partition of realtime.changes default;
alter table realtime.changes_default enable row level security;

create index changes_relation_position on realtime.changes (relation, position);
create index changes_committed_at on realtime.changes (committed_at);

comment on table realtime.changes is 'Row changes of watched tables, in commit order. Replays are judged on the images. Partitioned by day.';
comment on column realtime.changes.position is 'Place in the order of everything; the messageId follows from it: realtime.message_id(position).';
comment on column realtime.changes.xid is 'The committing transaction, 64 bits, for snapshots.';
comment on column realtime.changes.relation is 'Canonical spelling of the channel without db:, e.g. posts or audit."Order Items".';
comment on column realtime.changes.old_image is 'Column name to exact text (or null) of those columns whose exact text cannot be read back from payload->''old'' (json, arrays, composites …). A column in neither was absent.';
comment on column realtime.changes.new_image is 'As old_image, for payload->''new''.';
comment on column realtime.changes.payload is 'The payload as it was sent to a subscriber who may see everything.';
comment on column realtime.changes.ws_audience_count is 'Subscriptions written to at first fan-out.';
