-- What the server must remember about itself: its settings, how far the journal is (one row, written in
-- the journal's own transaction) and which tables it watches since when. Private but for the comments.

create table realtime.settings (
  singleton boolean primary key default true check (singleton),
  publication_prefix text not null check (publication_prefix ~ '^[a-z_][a-z0-9_]{0,40}$'),
  retention_days integer default 7 check (retention_days > 0),
  updated_at timestamptz not null default now()
);
alter table realtime.settings enable row level security;
comment on table realtime.settings is 'One row: settings that live in the database because every server and SQL itself must agree on them.';
comment on column realtime.settings.publication_prefix is 'ROWCAST_PUBLICATION of the first start; changing it would lose the slot''s place, so another value is refused.';
comment on column realtime.settings.retention_days is 'Days that history is kept; null = for ever. A channel may say a shorter time.';

create table realtime.granted_roles (
  role_name name primary key,
  role_oid oid not null,
  granted_at timestamptz not null default now()
);
alter table realtime.granted_roles enable row level security;
comment on table realtime.granted_roles is 'Roles that were given their standard rights, once each: a right that a DBA revoked later stays revoked.';

create table realtime.checkpoint (
  singleton boolean primary key default true check (singleton),
  epoch bigint check (epoch between 0 and 4294967295),
  handled pg_lsn,
  may_ack pg_lsn,
  term bigint not null default 0,
  lease_holder text,
  lease_address text,
  lease_expires_at timestamptz,
  journal_pid integer,
  journal_backend_start timestamptz,
  walsender_pid integer,
  walsender_backend_start timestamptz,
  system_identifier text,
  timeline integer,
  slot_name name,
  publications jsonb,
  updated_at timestamptz not null default now()
) with (fillfactor = 50);
alter table realtime.checkpoint enable row level security;
insert into realtime.checkpoint default values;
comment on table realtime.checkpoint is 'One row: where the journal stands, and who may write it. Columns are null until the first start.';
comment on column realtime.checkpoint.epoch is 'Changes whenever positions from before can no longer be trusted.';
comment on column realtime.checkpoint.handled is 'Commit LSN of the last transaction in history; on start everything at or below it is dropped.';
comment on column realtime.checkpoint.may_ack is 'Highest LSN that will ever be confirmed to the slot; committed before the confirmation is sent.';
comment on column realtime.checkpoint.term is 'Fencing term: grows with each change of leader; the journal''s first statement checks it.';
comment on column realtime.checkpoint.lease_holder is 'Name of the leading server; the lease ends at lease_expires_at by the database''s clock.';
comment on column realtime.checkpoint.journal_pid is 'Backend of the leader''s journal; with journal_backend_start it can be terminated safely by a successor.';
comment on column realtime.checkpoint.publications is 'Name to oid of the publications that the slot was started with; any difference is a new epoch.';

create table realtime.watched (
  relid oid primary key,
  relation text collate "C" not null,
  publication name not null,
  complete_after xid8,
  completed boolean not null default false,
  wants_full boolean not null default false,
  watched_at timestamptz not null default now()
);
alter table realtime.watched enable row level security;
comment on table realtime.watched is 'Bookkeeping of the server: since when a published table is watched completely. What is to be watched is said by realtime.channels alone.';
comment on column realtime.watched.relation is 'Canonical spelling without db:, as in realtime.changes.';
comment on column realtime.watched.publication is 'The publication that carries the table: all changes, or inserts and truncates only.';
comment on column realtime.watched.complete_after is 'pg_snapshot_xmax after the ALTER PUBLICATION committed: watching is complete once pg_snapshot_xmin has reached it. Null until the server has looked.';
comment on column realtime.watched.wants_full is 'watch(…, full => true) was asked for: partitions made later are set to replica identity full too.';
comment on column realtime.watched.completed is 'True once no transaction is open that began before the table was published.';
