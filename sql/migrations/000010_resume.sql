-- Resume: below which positions history is not whole, so that nobody is told to have missed nothing who may have;
-- and the lease by which a leader that is frozen is told from one that lives.

create table realtime.history_floors (
  source text collate "C" not null,
  channel_key text collate "C" not null,
  cause text collate "C" not null,
  position text collate "C" not null,
  constraint history_floors_pkey primary key (source, channel_key, cause),
  constraint history_floors_cause_known check (cause in ('removed', 'not_watched', 'not_kept', 'partitions')),
  constraint history_floors_source_known check (source in ('messages', 'changes'))
) with (fillfactor = 50);
alter table realtime.history_floors enable row level security;
comment on table realtime.history_floors is 'Where history begins to be whole: at or below position something of the channel may be missing (deleted, not watched, not kept).';
comment on column realtime.history_floors.cause is 'Each cause has its own writer, and a row of its own: so that a deletion never waits for the journal, nor the journal for it.';
comment on column realtime.history_floors.channel_key is 'As in message_counts: channel_id as text of messages, relation of changes; * for all of the source.';

alter table realtime.watched add column members text;
comment on column realtime.watched.members is 'Fingerprint of the partitions and their files, of a partitioned table: attached, detached or truncated partitions bring no change through the WAL.';

-- Written once a term: the lease is renewed by every statement of the session it names, which writes nothing, so that an
-- idle database stands still. Lost in a crash, which ends every leader anyway: no WAL for it.
create unlogged table realtime.lease (
  singleton boolean primary key default true check (singleton),
  term bigint not null,
  holder text not null,
  pid integer not null,
  backend_start timestamptz not null
) with (fillfactor = 20);
alter table realtime.lease enable row level security;
comment on table realtime.lease is 'The session by whose activity (pg_stat_activity.state_change) the leader of this term is known to be alive.';

alter table realtime.checkpoint drop column lease_expires_at, drop column lease_address,
  add column is_failover_safe boolean not null default false;
comment on column realtime.checkpoint.lease_holder is 'Name of the leading server.';
comment on column realtime.checkpoint.is_failover_safe is 'The slot was a failover slot and a standby was waited for (synchronized_standby_slots): a promotion keeps the epoch.';
