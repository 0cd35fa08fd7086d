// Owns the row types of the realtime schema for Kysely. Kept by hand beside sql/migrations; a test compares
// the columns with the database. Timestamps and JSON are text (value-types.ts).

import type { ColumnType, Generated } from 'kysely';
import type { Lsn } from '../lib/position.ts';

/** `2024-01-15 10:30:00.123456+00`, as Postgres prints it under the pinned settings. */
export type TimestampText = string;
/** JSON as text: exact, and parsed only by whoever needs the object. */
export type JsonText = string;
type LsnColumn = ColumnType<Lsn | null, string | null | undefined, string | null>;
type ReadOnly<T> = ColumnType<T, never, never>;

export type ChannelsTable = {
  id: Generated<string>;
  pattern: string;
  description: string | null;
  webhook_urls: string[] | null;
  enabled: Generated<boolean>;
  persist: boolean | null;
  retention_days: number | null;
  created_at: Generated<TimestampText>;
  updated_at: Generated<TimestampText>;
  is_pattern: ReadOnly<boolean>;
  literal_length: ReadOnly<number>;
  like_pattern: ReadOnly<string>;
};

export type MessagesTable = {
  id: Generated<string>;
  channel_id: string | null;
  channel_name: string;
  event_name: string;
  payload: JsonText;
  sender_type: Generated<'user' | 'system'>;
  sender_id: string | null;
  connection_id: string | null;
  position: string | null;
  ws_audience_count: Generated<number>;
  wh_audience_count: Generated<number>;
  wh_delivered_count: Generated<number>;
  created_at: Generated<TimestampText>;
};

export type MessageCountsTable = {
  width_s: 60 | 3600;
  bucket: TimestampText;
  source: 'messages' | 'changes';
  channel_key: string;
  event_name: string;
  is_removed: Generated<boolean>;
  message_count: bigint;
  wh_audience_count: Generated<bigint>;
  wh_delivered_count: Generated<bigint>;
  first_position: string;
  last_position: string;
};

export type MessageIdsTable = {
  message_id: string;
  content_hash: Buffer;
  created_at: Generated<TimestampText>;
};

export type ChangeOperation = 'INSERT' | 'UPDATE' | 'DELETE' | 'TRUNCATE';

export type ChangesTable = {
  position: string;
  committed_at: TimestampText;
  xid: bigint | null;
  relation: string;
  op: ChangeOperation;
  old_image: JsonText | null;
  new_image: JsonText | null;
  payload: JsonText;
  ws_audience_count: Generated<number>;
  wh_audience_count: Generated<number>;
  wh_delivered_count: Generated<number>;
};

export type HistoryView = {
  id: string;
  event_name: string;
  channel_id: string | null;
  channel_name: string;
  payload: JsonText;
  sender_type: 'user' | 'system';
  sender_id: string | null;
  ws_audience_count: number;
  wh_audience_count: number;
  wh_delivered_count: number;
  created_at: TimestampText;
  position: string | null;
};

export type SettingsTable = {
  singleton: Generated<boolean>;
  publication_prefix: string;
  retention_days: number | null;
  updated_at: Generated<TimestampText>;
  policy_password: string | null;
  max_message_bytes: Generated<number>;
};

export type CheckpointTable = {
  singleton: Generated<boolean>;
  epoch: bigint | null;
  handled: LsnColumn;
  may_ack: LsnColumn;
  term: Generated<bigint>;
  lease_holder: string | null;
  journal_pid: number | null;
  journal_backend_start: TimestampText | null;
  walsender_pid: number | null;
  walsender_backend_start: TimestampText | null;
  system_identifier: string | null;
  timeline: number | null;
  slot_name: string | null;
  /** Publication name to oid. */
  publications: JsonText | null;
  updated_at: Generated<TimestampText>;
  is_failover_safe: Generated<boolean>;
};

export type LeaseTable = {
  singleton: Generated<boolean>;
  term: bigint;
  holder: string;
  pid: number;
  backend_start: TimestampText;
};

export type HistoryFloorsTable = {
  source: 'messages' | 'changes';
  channel_key: string;
  cause: 'removed' | 'not_watched' | 'not_kept' | 'partitions';
  position: string;
};

export type WatchedTable = {
  relid: number;
  relation: string;
  publication: string;
  complete_after: bigint | null;
  completed: Generated<boolean>;
  wants_full: Generated<boolean>;
  watched_at: Generated<TimestampText>;
  members: string | null;
};

export type GrantedRolesTable = {
  role_name: string;
  role_oid: number;
  granted_at: Generated<TimestampText>;
};

export type WebhookEndpointsTable = {
  id: Generated<string>;
  channel_id: string | null;
  url: string;
  pattern: string;
  description: string | null;
  label: Generated<string>;
  token: string | null;
  secret: string | null;
  previous_secret: string | null;
  previous_secret_expires_at: TimestampText | null;
  events: string[] | null;
  mode: Generated<'single' | 'batch'>;
  batch_interval_ms: Generated<number>;
  ordered: Generated<boolean>;
  max_in_flight: Generated<number>;
  format: Generated<'message' | 'event' | 'payload'>;
  role: string | null;
  claims: JsonText | null;
  enabled: Generated<boolean>;
  state: Generated<'active' | 'paused' | 'disabled'>;
  state_reason: string | null;
  state_changed_at: Generated<TimestampText>;
  consecutive_failures: Generated<number>;
  failing_since: TimestampText | null;
  next_attempt_at: TimestampText | null;
  open_batch_id: string | null;
  created_at: Generated<TimestampText>;
  updated_at: Generated<TimestampText>;
  plan: Generated<'standard' | 'free'>;
  like_pattern: ReadOnly<string>;
  next_batch_at: TimestampText | null;
};

export type WebhookDeliveriesTable = {
  id: Generated<bigint>;
  endpoint_id: string;
  message_id: string;
  position: string | null;
  channel_name: string;
  event_name: string;
  message_created_at: TimestampText;
  body: Buffer | null;
  batch_id: string | null;
  batch_index: number | null;
  state: Generated<'unjudged' | 'hidden' | 'pending' | 'leased' | 'delivered' | 'dead' | 'cancelled'>;
  attempts: Generated<number>;
  next_attempt_at: Generated<TimestampText>;
  lease_holder: string | null;
  lease_expires_at: TimestampText | null;
  leased_at: TimestampText | null;
  first_attempt_at: TimestampText | null;
  give_up_at: TimestampText | null;
  finished_at: TimestampText | null;
  last_status: number | null;
  last_error: string | null;
  created_at: Generated<TimestampText>;
  source: 'messages' | 'changes' | 'test';
  is_counted: Generated<boolean>;
};

export type WebhookAttemptsTable = {
  id: Generated<bigint>;
  delivery_id: bigint;
  attempt: number;
  started_at: TimestampText;
  duration_ms: number | null;
  status: number | null;
  error: string | null;
  response_head: string | null;
};

export type WebhookLogView = {
  delivery_id: bigint;
  endpoint_id: string;
  pattern: string;
  url: string;
  message_id: string;
  position: string | null;
  channel_name: string;
  event_name: string;
  source: 'messages' | 'changes' | 'test';
  state: string;
  attempts: number;
  batch_id: string | null;
  batch_index: number | null;
  created_at: TimestampText;
  finished_at: TimestampText | null;
  attempt: number | null;
  started_at: TimestampText | null;
  duration_ms: number | null;
  status: number | null;
  error: string | null;
  response_head: string | null;
};

export type SourcesTable = {
  id: Generated<string>;
  name: string;
  slug: string;
  token_hash: Buffer;
  channel: ReadOnly<string>;
  plan: Generated<'free' | 'metered'>;
  monthly_limit: number | null;
  verification_secret: string | null;
  enabled: Generated<boolean>;
  rotated_at: TimestampText | null;
  created_at: Generated<TimestampText>;
  updated_at: Generated<TimestampText>;
};

export type SourceUsageTable = {
  source_id: string;
  month: string;
  accepted: Generated<bigint>;
  monthly_limit: number | null;
};

export type DatabaseTables = {
  'realtime.channels': ChannelsTable;
  'realtime.messages': MessagesTable;
  'realtime.message_ids': MessageIdsTable;
  'realtime.message_counts': MessageCountsTable;
  'realtime.changes': ChangesTable;
  'realtime.history': HistoryView;
  'realtime.settings': SettingsTable;
  'realtime.checkpoint': CheckpointTable;
  'realtime.lease': LeaseTable;
  'realtime.history_floors': HistoryFloorsTable;
  'realtime.watched': WatchedTable;
  'realtime.granted_roles': GrantedRolesTable;
  'realtime.webhook_endpoints': WebhookEndpointsTable;
  'realtime.webhook_deliveries': WebhookDeliveriesTable;
  'realtime.webhook_attempts': WebhookAttemptsTable;
  'realtime.webhook_log': WebhookLogView;
  'realtime.sources': SourcesTable;
  'realtime.source_usage': SourceUsageTable;
};
