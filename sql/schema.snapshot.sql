-- Generated from a migrated database, for reviews; never run, never edited.
column changes.position text not null
column changes.committed_at timestamp with time zone not null
column changes.xid xid8
column changes.relation text not null
column changes.op text not null
column changes.old_image jsonb
column changes.new_image jsonb
column changes.payload jsonb not null
column changes.ws_audience_count integer not null default 0
column changes.wh_audience_count integer not null default 0
column changes.wh_delivered_count integer not null default 0
column channels.id uuid not null default gen_random_uuid()
column channels.pattern text not null
column channels.description text
column channels.webhook_urls text[]
column channels.enabled boolean not null default true
column channels.persist boolean
column channels.retention_days integer
column channels.created_at timestamp with time zone not null default now()
column channels.updated_at timestamp with time zone not null default now()
column channels.is_pattern boolean not null generated as (regexp_replace(pattern, '"([^"]|"")*"'::text, ''::text, 'g'::text) ~ '[*%]'::text)
column channels.literal_length integer not null generated as length(translate(pattern, '*%'::text, ''::text))
column channels.like_pattern text not null generated as replace(replace(replace(replace(pattern, '\'::text, '\\'::text), '_'::text, '\_'::text), '%'::text, '*'::text), '*'::text, '_%'::text)
column checkpoint.singleton boolean not null default true
column checkpoint.epoch bigint
column checkpoint.handled pg_lsn
column checkpoint.may_ack pg_lsn
column checkpoint.term bigint not null default 0
column checkpoint.lease_holder text
column checkpoint.journal_pid integer
column checkpoint.journal_backend_start timestamp with time zone
column checkpoint.walsender_pid integer
column checkpoint.walsender_backend_start timestamp with time zone
column checkpoint.system_identifier text
column checkpoint.timeline integer
column checkpoint.slot_name name
column checkpoint.publications jsonb
column checkpoint.updated_at timestamp with time zone not null default now()
column checkpoint.is_failover_safe boolean not null default false
column granted_roles.role_name name not null
column granted_roles.role_oid oid not null
column granted_roles.granted_at timestamp with time zone not null default now()
column history.id uuid
column history.event_name text
column history.channel_id uuid
column history.channel_name text
column history.payload jsonb
column history.sender_type text
column history.sender_id text
column history.ws_audience_count integer
column history.wh_audience_count integer
column history.wh_delivered_count integer
column history.created_at timestamp with time zone
column history.position text
column history_floors.source text not null
column history_floors.channel_key text not null
column history_floors.cause text not null
column history_floors.position text not null
column lease.singleton boolean not null default true
column lease.term bigint not null
column lease.holder text not null
column lease.pid integer not null
column lease.backend_start timestamp with time zone not null
column message_counts.width_s integer not null
column message_counts.bucket timestamp with time zone not null
column message_counts.source text not null
column message_counts.channel_key text not null
column message_counts.event_name text not null
column message_counts.is_removed boolean not null default false
column message_counts.message_count bigint not null
column message_counts.wh_audience_count bigint not null default 0
column message_counts.wh_delivered_count bigint not null default 0
column message_counts.first_position text not null
column message_counts.last_position text not null
column message_ids.message_id uuid not null
column message_ids.content_hash bytea not null
column message_ids.created_at timestamp with time zone not null default now()
column messages.id uuid not null
column messages.channel_id uuid not null
column messages.channel_name text not null
column messages.event_name text not null
column messages.payload jsonb not null
column messages.sender_type text not null
column messages.sender_id text
column messages.connection_id text
column messages.position text
column messages.ws_audience_count integer not null default 0
column messages.wh_audience_count integer not null default 0
column messages.wh_delivered_count integer not null default 0
column messages.created_at timestamp with time zone not null default now()
column migrations.number integer not null
column migrations.name text not null
column migrations.hash text not null
column migrations.applied_at timestamp with time zone not null default now()
column repeatables.name text not null
column repeatables.hash text not null
column repeatables.applied_at timestamp with time zone not null default now()
column settings.singleton boolean not null default true
column settings.publication_prefix text not null
column settings.retention_days integer default 7
column settings.updated_at timestamp with time zone not null default now()
column settings.policy_password text
column settings.max_message_bytes integer not null default 262144
column source_usage.source_id uuid not null
column source_usage.month date not null
column source_usage.accepted bigint not null default 0
column source_usage.monthly_limit integer
column sources.id uuid not null default gen_random_uuid()
column sources.name text not null
column sources.slug text not null
column sources.token_hash bytea not null
column sources.channel text not null generated as ('in:'::text || (id)::text)
column sources.plan text not null default 'free'::text
column sources.monthly_limit integer
column sources.verification_secret text
column sources.enabled boolean not null default true
column sources.rotated_at timestamp with time zone
column sources.created_at timestamp with time zone not null default now()
column sources.updated_at timestamp with time zone not null default now()
column watched.relid oid not null
column watched.relation text not null
column watched.publication name not null
column watched.complete_after xid8
column watched.completed boolean not null default false
column watched.wants_full boolean not null default false
column watched.watched_at timestamp with time zone not null default now()
column watched.members text
column webhook_attempts.id bigint not null identity
column webhook_attempts.delivery_id bigint not null
column webhook_attempts.attempt integer not null
column webhook_attempts.started_at timestamp with time zone not null
column webhook_attempts.duration_ms integer
column webhook_attempts.status integer
column webhook_attempts.error text
column webhook_attempts.response_head text
column webhook_deliveries.id bigint not null identity
column webhook_deliveries.endpoint_id uuid not null
column webhook_deliveries.message_id uuid not null
column webhook_deliveries.position text
column webhook_deliveries.channel_name text not null
column webhook_deliveries.event_name text not null
column webhook_deliveries.message_created_at timestamp with time zone not null
column webhook_deliveries.body bytea
column webhook_deliveries.batch_id uuid
column webhook_deliveries.batch_index integer
column webhook_deliveries.state text not null default 'pending'::text
column webhook_deliveries.attempts integer not null default 0
column webhook_deliveries.next_attempt_at timestamp with time zone not null default now()
column webhook_deliveries.lease_holder text
column webhook_deliveries.lease_expires_at timestamp with time zone
column webhook_deliveries.first_attempt_at timestamp with time zone
column webhook_deliveries.give_up_at timestamp with time zone
column webhook_deliveries.finished_at timestamp with time zone
column webhook_deliveries.last_status integer
column webhook_deliveries.last_error text
column webhook_deliveries.created_at timestamp with time zone not null default now()
column webhook_deliveries.source text not null
column webhook_deliveries.is_counted boolean not null default false
column webhook_deliveries.leased_at timestamp with time zone
column webhook_endpoints.id uuid not null default gen_random_uuid()
column webhook_endpoints.channel_id uuid
column webhook_endpoints.url text not null
column webhook_endpoints.pattern text not null
column webhook_endpoints.description text
column webhook_endpoints.label text not null default encode(sha256(uuid_send(gen_random_uuid())), 'hex'::text)
column webhook_endpoints.token text
column webhook_endpoints.secret text
column webhook_endpoints.previous_secret text
column webhook_endpoints.previous_secret_expires_at timestamp with time zone
column webhook_endpoints.events text[]
column webhook_endpoints.mode text not null default 'single'::text
column webhook_endpoints.batch_interval_ms integer not null default 1000
column webhook_endpoints.ordered boolean not null default false
column webhook_endpoints.max_in_flight integer not null default 30
column webhook_endpoints.format text not null default 'message'::text
column webhook_endpoints.role text
column webhook_endpoints.claims jsonb
column webhook_endpoints.enabled boolean not null default true
column webhook_endpoints.state text not null default 'active'::text
column webhook_endpoints.state_reason text
column webhook_endpoints.state_changed_at timestamp with time zone not null default now()
column webhook_endpoints.consecutive_failures integer not null default 0
column webhook_endpoints.failing_since timestamp with time zone
column webhook_endpoints.next_attempt_at timestamp with time zone
column webhook_endpoints.created_at timestamp with time zone not null default now()
column webhook_endpoints.updated_at timestamp with time zone not null default now()
column webhook_endpoints.plan text not null default 'standard'::text
column webhook_endpoints.like_pattern text not null generated as replace(replace(replace(replace(pattern, '\'::text, '\\'::text), '_'::text, '\_'::text), '%'::text, '*'::text), '*'::text, '_%'::text)
column webhook_endpoints.next_batch_at timestamp with time zone
column webhook_endpoints.open_batch_id uuid
column webhook_log.delivery_id bigint
column webhook_log.endpoint_id uuid
column webhook_log.pattern text
column webhook_log.url text
column webhook_log.message_id uuid
column webhook_log.position text
column webhook_log.channel_name text
column webhook_log.event_name text
column webhook_log.source text
column webhook_log.state text
column webhook_log.attempts integer
column webhook_log.batch_id uuid
column webhook_log.batch_index integer
column webhook_log.created_at timestamp with time zone
column webhook_log.finished_at timestamp with time zone
column webhook_log.attempt integer
column webhook_log.started_at timestamp with time zone
column webhook_log.duration_ms integer
column webhook_log.status integer
column webhook_log.error text
column webhook_log.response_head text
constraint realtime.changes.changes_op_known CHECK ((op = ANY (ARRAY['INSERT'::text, 'UPDATE'::text, 'DELETE'::text, 'TRUNCATE'::text])))
constraint realtime.changes.changes_pkey PRIMARY KEY ("position", committed_at)
constraint realtime.channels.channels_pattern_grammar CHECK (((pattern ~ '^([A-Za-z0-9_.:/@=,;#*%-]|[^\u0001-\u007f])+$'::text) OR (pattern ~ '^db:(("([^"]|"")+"|[^".]+)\.)?("([^"]|"")+"|[^".]+)$'::text)))
constraint realtime.channels.channels_pattern_length CHECK (((length(pattern) >= 1) AND (length(pattern) <= 200)))
constraint realtime.channels.channels_pattern_unique UNIQUE (like_pattern)
constraint realtime.channels.channels_pkey PRIMARY KEY (id)
constraint realtime.channels.channels_retention_days_positive CHECK ((retention_days > 0))
constraint realtime.channels.channels_webhook_urls_filled CHECK (((array_position(webhook_urls, NULL::text) IS NULL) AND (COALESCE(array_ndims(webhook_urls), 1) = 1)))
constraint realtime.checkpoint.checkpoint_epoch_check CHECK (((epoch >= 0) AND (epoch <= '4294967295'::bigint)))
constraint realtime.checkpoint.checkpoint_pkey PRIMARY KEY (singleton)
constraint realtime.checkpoint.checkpoint_singleton_check CHECK (singleton)
constraint realtime.granted_roles.granted_roles_pkey PRIMARY KEY (role_name)
constraint realtime.history_floors.history_floors_cause_known CHECK ((cause = ANY (ARRAY['removed'::text, 'not_watched'::text, 'not_kept'::text, 'partitions'::text])))
constraint realtime.history_floors.history_floors_pkey PRIMARY KEY (source, channel_key, cause)
constraint realtime.history_floors.history_floors_source_known CHECK ((source = ANY (ARRAY['messages'::text, 'changes'::text])))
constraint realtime.lease.lease_pkey PRIMARY KEY (singleton)
constraint realtime.lease.lease_singleton_check CHECK (singleton)
constraint realtime.message_counts.message_counts_pkey PRIMARY KEY (width_s, bucket, source, channel_key, event_name, is_removed)
constraint realtime.message_counts.message_counts_source_known CHECK ((source = ANY (ARRAY['messages'::text, 'changes'::text])))
constraint realtime.message_counts.message_counts_width_known CHECK ((width_s = ANY (ARRAY[60, 3600])))
constraint realtime.message_ids.message_ids_pkey PRIMARY KEY (message_id)
constraint realtime.messages.messages_channel_name_grammar CHECK ((((length(channel_name) >= 1) AND (length(channel_name) <= 200)) AND (channel_name ~ '^([A-Za-z0-9_.:/@=,;#-]|[^\u0001-\u007f])+$'::text)))
constraint realtime.messages.messages_channel_name_reserved CHECK (((lower((channel_name COLLATE "C")) !~ '^(db:|presence:|realtime:)'::text) AND (lower((channel_name COLLATE "C")) <> 'system'::text)))
constraint realtime.messages.messages_event_name_length CHECK (((length(event_name) >= 1) AND (length(event_name) <= 200)))
constraint realtime.messages.messages_event_name_reserved CHECK (((lower((event_name COLLATE "C")) !~ '^(presence:|realtime:|pusher:|pusher_internal:|phx_)'::text) AND (lower((event_name COLLATE "C")) <> ALL (ARRAY['system'::text, 'error'::text, 'connect'::text, 'disconnect'::text]))))
constraint realtime.messages.messages_pkey PRIMARY KEY (id, created_at)
constraint realtime.messages.messages_sender_type_known CHECK ((sender_type = ANY (ARRAY['user'::text, 'system'::text])))
constraint realtime.messages.messages_zz_not_written CHECK (("position" IS DISTINCT FROM 'ephemeral'::text))
constraint realtime.migrations.migrations_pkey PRIMARY KEY (number)
constraint realtime.repeatables.repeatables_pkey PRIMARY KEY (name)
constraint realtime.settings.settings_max_message_bytes_check CHECK ((max_message_bytes > 0))
constraint realtime.settings.settings_pkey PRIMARY KEY (singleton)
constraint realtime.settings.settings_publication_prefix_check CHECK ((publication_prefix ~ '^[a-z_][a-z0-9_]{0,40}$'::text))
constraint realtime.settings.settings_retention_days_check CHECK ((retention_days > 0))
constraint realtime.settings.settings_singleton_check CHECK (singleton)
constraint realtime.source_usage.source_usage_month_check CHECK ((EXTRACT(day FROM month) = (1)::numeric))
constraint realtime.source_usage.source_usage_pkey PRIMARY KEY (source_id, month)
constraint realtime.source_usage.source_usage_source_id_fkey FOREIGN KEY (source_id) REFERENCES realtime.sources(id) ON DELETE CASCADE
constraint realtime.sources.sources_channel_key UNIQUE (channel)
constraint realtime.sources.sources_free_limit CHECK (((plan <> 'free'::text) OR (monthly_limit <= 1000)))
constraint realtime.sources.sources_monthly_limit_positive CHECK ((monthly_limit >= 0))
constraint realtime.sources.sources_name_check CHECK (((length(name) >= 1) AND (length(name) <= 200)))
constraint realtime.sources.sources_pkey PRIMARY KEY (id)
constraint realtime.sources.sources_plan_known CHECK ((plan = ANY (ARRAY['free'::text, 'metered'::text])))
constraint realtime.sources.sources_slug_key UNIQUE (slug)
constraint realtime.sources.sources_token_hash_key UNIQUE (token_hash)
constraint realtime.watched.watched_pkey PRIMARY KEY (relid)
constraint realtime.webhook_attempts.webhook_attempts_delivery_id_fkey FOREIGN KEY (delivery_id) REFERENCES realtime.webhook_deliveries(id) ON DELETE CASCADE
constraint realtime.webhook_attempts.webhook_attempts_pkey PRIMARY KEY (id)
constraint realtime.webhook_attempts.webhook_attempts_unique UNIQUE (delivery_id, attempt)
constraint realtime.webhook_deliveries.webhook_deliveries_message_unique UNIQUE (endpoint_id, message_id)
constraint realtime.webhook_deliveries.webhook_deliveries_pkey PRIMARY KEY (id)
constraint realtime.webhook_deliveries.webhook_deliveries_source_known CHECK ((source = ANY (ARRAY['messages'::text, 'changes'::text, 'test'::text])))
constraint realtime.webhook_deliveries.webhook_deliveries_state_known CHECK ((state = ANY (ARRAY['unjudged'::text, 'hidden'::text, 'pending'::text, 'leased'::text, 'delivered'::text, 'dead'::text, 'cancelled'::text])))
constraint realtime.webhook_endpoints.webhook_endpoints_batch_interval_positive CHECK ((batch_interval_ms > 0))
constraint realtime.webhook_endpoints.webhook_endpoints_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES realtime.channels(id) ON DELETE CASCADE
constraint realtime.webhook_endpoints.webhook_endpoints_claims_object CHECK ((jsonb_typeof(claims) = 'object'::text))
constraint realtime.webhook_endpoints.webhook_endpoints_claims_of_role CHECK (((claims IS NULL) OR (role IS NOT NULL)))
constraint realtime.webhook_endpoints.webhook_endpoints_format_known CHECK ((format = ANY (ARRAY['message'::text, 'event'::text, 'payload'::text])))
constraint realtime.webhook_endpoints.webhook_endpoints_free_in_flight CHECK (((plan <> 'free'::text) OR (max_in_flight <= 15)))
constraint realtime.webhook_endpoints.webhook_endpoints_max_in_flight_positive CHECK ((max_in_flight > 0))
constraint realtime.webhook_endpoints.webhook_endpoints_mode_known CHECK ((mode = ANY (ARRAY['single'::text, 'batch'::text])))
constraint realtime.webhook_endpoints.webhook_endpoints_pattern_grammar CHECK ((((length(pattern) >= 1) AND (length(pattern) <= 200)) AND ((pattern ~ '^([A-Za-z0-9_.:/@=,;#*%-]|[^\u0001-\u007f])+$'::text) OR (pattern ~ '^db:(("([^"]|"")+"|[^".]+)\.)?("([^"]|"")+"|[^".]+)$'::text))))
constraint realtime.webhook_endpoints.webhook_endpoints_pkey PRIMARY KEY (id)
constraint realtime.webhook_endpoints.webhook_endpoints_plan_known CHECK ((plan = ANY (ARRAY['standard'::text, 'free'::text])))
constraint realtime.webhook_endpoints.webhook_endpoints_state_known CHECK ((state = ANY (ARRAY['active'::text, 'paused'::text, 'disabled'::text])))
CREATE INDEX changes_op ON ONLY realtime.changes USING btree (op, "position")
CREATE UNIQUE INDEX changes_pkey ON ONLY realtime.changes USING btree ("position", committed_at)
CREATE INDEX changes_relation_position ON ONLY realtime.changes USING btree (relation, "position")
CREATE UNIQUE INDEX channels_pattern_unique ON realtime.channels USING btree (like_pattern)
CREATE UNIQUE INDEX channels_pkey ON realtime.channels USING btree (id)
CREATE UNIQUE INDEX checkpoint_pkey ON realtime.checkpoint USING btree (singleton)
CREATE UNIQUE INDEX granted_roles_pkey ON realtime.granted_roles USING btree (role_name)
CREATE UNIQUE INDEX history_floors_pkey ON realtime.history_floors USING btree (source, channel_key, cause)
CREATE UNIQUE INDEX lease_pkey ON realtime.lease USING btree (singleton)
CREATE UNIQUE INDEX message_counts_pkey ON realtime.message_counts USING btree (width_s, bucket, source, channel_key, event_name, is_removed)
CREATE INDEX message_ids_created_at ON realtime.message_ids USING btree (created_at)
CREATE UNIQUE INDEX message_ids_pkey ON realtime.message_ids USING btree (message_id)
CREATE INDEX messages_channel_id ON ONLY realtime.messages USING btree (channel_id, "position") WHERE ("position" IS NOT NULL)
CREATE INDEX messages_channel_name ON ONLY realtime.messages USING btree (channel_name, "position") WHERE ("position" IS NOT NULL)
CREATE INDEX messages_event_name ON ONLY realtime.messages USING btree (event_name, "position") WHERE ("position" IS NOT NULL)
CREATE UNIQUE INDEX messages_pkey ON ONLY realtime.messages USING btree (id, created_at)
CREATE INDEX messages_position ON ONLY realtime.messages USING btree ("position") WHERE ("position" IS NOT NULL)
CREATE INDEX messages_sender_id ON ONLY realtime.messages USING btree (sender_id, "position") WHERE (("position" IS NOT NULL) AND (sender_id IS NOT NULL))
CREATE UNIQUE INDEX migrations_pkey ON realtime.migrations USING btree (number)
CREATE UNIQUE INDEX repeatables_pkey ON realtime.repeatables USING btree (name)
CREATE UNIQUE INDEX settings_pkey ON realtime.settings USING btree (singleton)
CREATE UNIQUE INDEX source_usage_pkey ON realtime.source_usage USING btree (source_id, month)
CREATE UNIQUE INDEX sources_channel_key ON realtime.sources USING btree (channel)
CREATE UNIQUE INDEX sources_pkey ON realtime.sources USING btree (id)
CREATE UNIQUE INDEX sources_slug_key ON realtime.sources USING btree (slug)
CREATE UNIQUE INDEX sources_token_hash_key ON realtime.sources USING btree (token_hash)
CREATE UNIQUE INDEX watched_pkey ON realtime.watched USING btree (relid)
CREATE UNIQUE INDEX webhook_attempts_pkey ON realtime.webhook_attempts USING btree (id)
CREATE UNIQUE INDEX webhook_attempts_unique ON realtime.webhook_attempts USING btree (delivery_id, attempt)
CREATE INDEX webhook_deliveries_batch ON realtime.webhook_deliveries USING btree (batch_id) WHERE (batch_id IS NOT NULL)
CREATE INDEX webhook_deliveries_created_at ON realtime.webhook_deliveries USING btree (created_at)
CREATE INDEX webhook_deliveries_dead ON realtime.webhook_deliveries USING btree (endpoint_id, id) WHERE (state = 'dead'::text)
CREATE INDEX webhook_deliveries_due ON realtime.webhook_deliveries USING btree (endpoint_id, next_attempt_at, id) WHERE (state = 'pending'::text)
CREATE INDEX webhook_deliveries_leased ON realtime.webhook_deliveries USING btree (endpoint_id, lease_expires_at) WHERE (state = 'leased'::text)
CREATE UNIQUE INDEX webhook_deliveries_message_unique ON realtime.webhook_deliveries USING btree (endpoint_id, message_id)
CREATE INDEX webhook_deliveries_open ON realtime.webhook_deliveries USING btree (endpoint_id, id) WHERE (state = ANY (ARRAY['pending'::text, 'leased'::text, 'unjudged'::text]))
CREATE UNIQUE INDEX webhook_deliveries_pkey ON realtime.webhook_deliveries USING btree (id)
CREATE INDEX webhook_deliveries_unjudged ON realtime.webhook_deliveries USING btree (id) WHERE (state = 'unjudged'::text)
CREATE UNIQUE INDEX webhook_endpoints_channel_url ON realtime.webhook_endpoints USING btree (channel_id, url) WHERE (channel_id IS NOT NULL)
CREATE UNIQUE INDEX webhook_endpoints_pkey ON realtime.webhook_endpoints USING btree (id)
policy rowcast_admitted on realtime.messages for a restrictive using () with check ((channel_id IS NOT NULL))
CREATE TRIGGER changes_count_removed AFTER DELETE ON realtime.changes REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION realtime.count_removed()
CREATE TRIGGER changes_forget_counts AFTER TRUNCATE ON realtime.changes FOR EACH STATEMENT EXECUTE FUNCTION realtime.forget_counts()
CREATE TRIGGER channels_settle BEFORE INSERT OR UPDATE ON realtime.channels FOR EACH ROW EXECUTE FUNCTION realtime.settle_channel()
CREATE TRIGGER channels_sync_webhook_urls AFTER INSERT OR UPDATE ON realtime.channels FOR EACH ROW EXECUTE FUNCTION realtime.sync_webhook_urls()
CREATE TRIGGER channels_watch_1_as_writer AFTER INSERT OR DELETE OR UPDATE OF pattern ON realtime.channels FOR EACH ROW EXECUTE FUNCTION realtime.watch_as_writer()
CREATE TRIGGER channels_watch_2_as_owner AFTER INSERT OR DELETE OR UPDATE OF pattern ON realtime.channels FOR EACH ROW EXECUTE FUNCTION realtime.watch_as_owner()
CREATE TRIGGER channels_watch_3_truncated AFTER TRUNCATE ON realtime.channels FOR EACH STATEMENT EXECUTE FUNCTION realtime.unwatch_all()
CREATE TRIGGER messages_admit BEFORE INSERT ON realtime.messages FOR EACH ROW EXECUTE FUNCTION realtime.admit_message()
CREATE TRIGGER messages_count_removed AFTER DELETE ON realtime.messages REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION realtime.count_removed()
CREATE TRIGGER messages_forget_counts AFTER TRUNCATE ON realtime.messages FOR EACH STATEMENT EXECUTE FUNCTION realtime.forget_counts()
CREATE TRIGGER sources_channel AFTER INSERT OR DELETE ON realtime.sources FOR EACH ROW EXECUTE FUNCTION realtime.follow_source()
CREATE TRIGGER webhook_endpoints_drop_deliveries AFTER DELETE ON realtime.webhook_endpoints REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION realtime.drop_deliveries()
function accept_webhook(source_id uuid, received_at text, headers jsonb, payload jsonb) returns TABLE(outcome text, message_id uuid) volatile
function add_message_counts(source text, is_removed boolean, times timestamp with time zone[], channel_keys text[], event_names text[], message_counts bigint[], wh_audience_counts bigint[], wh_delivered_counts bigint[], first_positions text[], last_positions text[]) returns void volatile
function admit_message() returns trigger volatile security definer set search_path=pg_catalog, pg_temp
function apply_watch(old_pattern text, new_pattern text, last_try boolean) returns void volatile set search_path=pg_catalog, pg_temp
function carriers(relid oid) returns SETOF name stable
function change_payload(payload jsonb) returns text immutable
function changed_partitions() returns TABLE(relation text, at_position text) volatile
function channel_name() returns text stable
function channel_webhook_urls(name text) returns text[] stable
function channels_fingerprint() returns text stable set search_path=pg_catalog, pg_temp
function column_rules(relid oid) returns jsonb stable set search_path=""
function count_delivered(sources text[], ids uuid[], times timestamp with time zone[], positions text[]) returns void volatile
function count_removed() returns trigger volatile security definer set search_path=pg_catalog, pg_temp
function counts_within(since timestamp with time zone, until timestamp with time zone) returns SETOF realtime.message_counts stable
function current_position() returns text volatile
function deciding_channel(name text) returns TABLE(channel_id uuid, pattern text, enabled boolean, persist boolean, retention_days integer) stable
function delete_rows(parent text, keys text[], times timestamp with time zone[]) returns bigint volatile set enable_hashjoin=off, enable_mergejoin=off
function drop_deliveries() returns trigger volatile security definer set search_path=pg_catalog, pg_temp
function drop_partition(parent text, day date) returns bigint volatile set lock_timeout=200ms
function due_endpoints(room integer) returns SETOF uuid stable
function enqueue_changes(ids uuid[], positions text[], times timestamp with time zone[], target_relations text[], target_events text[], target_endpoints uuid[]) returns bigint volatile set work_mem=64MB, enable_nestloop=off
function enqueue_messages(ids uuid[], times timestamp with time zone[], positions text[], target_channels text[], target_events text[], target_endpoints uuid[]) returns bigint volatile set work_mem=64MB
function enqueue_test(endpoint_id uuid) returns bigint volatile
function ensure_publications(prefix text) returns jsonb volatile
function expire_deliveries(give_up_ms bigint, slice integer) returns bigint volatile
function finish_deliveries(holder text, ids bigint[], tries integer[], outcomes text[], durations_ms integer[], statuses integer[], errors text[], response_heads text[], retries_ms integer[], initial_ms bigint, max_ms bigint, give_up_ms bigint, pause_after_ms bigint, OUT delivered integer, OUT dead integer, OUT lost integer, OUT stopped jsonb) returns record volatile
function follow_source() returns trigger volatile set search_path=pg_catalog, pg_temp
function forget_counts() returns trigger volatile security definer set search_path=pg_catalog, pg_temp
function full_refusal(relid oid) returns text stable set search_path=pg_catalog, pg_temp
function grant_access(app_roles text[], admin_roles text[]) returns text[] volatile
function grant_policy_login(login name) returns void volatile
function hashed_message_id(sender_id text, channel_name text, id uuid) returns uuid immutable
function identity_gap(relid oid) returns text stable
function is_published(relid oid, wants_full boolean) returns boolean stable
function journal_messages(ids uuid[], times timestamp with time zone[], positions text[], audience_counts integer[], wh_audience_counts integer[]) returns bigint volatile
function judge_channels(roles text[], claims text[], channel_names text[], channel_ids uuid[], table_oids oid[]) returns TABLE(question integer, sees_channel boolean, reads_table boolean, failure_state text, failure text) stable
function judge_rows(xids bigint[], relids oid[], expected text[], images text[], sets integer[], statements text[], statement_sets integer[], identity_roles text[], identity_claims text[], identity_channels text[], identity_zones text[], entry_identities integer[], entry_statements integer[], suspects boolean[], budget_ms integer, trace text) returns TABLE(state text, hits text[], failures text[]) stable
function lease_deliveries(holder text, lease_ms integer, request_room integer, byte_room bigint) returns TABLE(id bigint, endpoint_id uuid, message_id uuid, channel_name text, event_name text, body bytea, batch_id uuid, attempts integer, url text, token text, secrets text[]) volatile
function lease_room(endpoint realtime.webhook_endpoints) returns integer stable
function make_partition(parent text, day date) returns boolean volatile set lock_timeout=200ms
function may_publish(relid oid) returns boolean stable
function message_id("position" text) returns uuid stable
function message_id("position" text, system_identifier text) returns uuid immutable
function message_stats(channel_id uuid, since timestamp with time zone, until timestamp with time zone) returns TABLE(total_messages bigint, wh_audience bigint, wh_delivered bigint, top_events json) stable
function missing_partitions(days_ahead integer) returns TABLE(parent text, day date) stable
function partitions() returns TABLE(parent text, day date, partition_name text) stable
function pick_deliveries(endpoint realtime.webhook_endpoints, room integer, byte_room bigint) returns SETOF bigint stable
function policy_rules(relid oid) returns jsonb stable set search_path=""
function position_range(source text, since timestamp with time zone, until timestamp with time zone, channel_key text, event_name text) returns TABLE(first_position text, last_position text) stable
function publication_prefix() returns text stable security definer set search_path=pg_catalog, pg_temp
function publications_of(relid oid) returns name[] stable
function publish(channel text, event text, payload jsonb) returns uuid volatile
function publish_as(role_name text, claims text, connection_id text, ids uuid[], channel_names text[], event_names text[], payloads text[]) returns TABLE(message_id uuid, is_ephemeral boolean) volatile
function raise_floors(source text, cause text, channel_keys text[], positions text[]) returns void volatile
function reconcile_watched() returns TABLE(relation text, action text, ok boolean, detail text) volatile set lock_timeout=200ms
function relation_name(relid oid) returns text stable
function relation_oid(spelling text) returns oid stable set search_path=pg_catalog, pg_temp
function remove_default_rows(parent text, before timestamp with time zone, first_block bigint, end_block bigint) returns bigint volatile
function remove_deliveries(keep_ms bigint, slice integer) returns bigint volatile
function remove_slice(parent text, since timestamp with time zone, until timestamp with time zone, after_position text, last_position text, days integer, slice integer, OUT due bigint, OUT removed bigint, OUT at_position text) returns record volatile
function rfc3339(at timestamp with time zone) returns text stable
function rules_fingerprint(relids oid[]) returns text[] stable set search_path=pg_catalog, pg_temp
function sees_all_channels(role_name name) returns boolean stable
function set_full(relid oid) returns void volatile set search_path=pg_catalog, pg_temp
function set_published(relid oid, published boolean) returns text volatile set search_path=pg_catalog, pg_temp
function settle_channel() returns trigger volatile set search_path=pg_catalog, pg_temp
function settle_counts() returns bigint volatile
function settle_judged(ids bigint[], events text[], payloads text[], reason text) returns bigint volatile
function settled_watches() returns SETOF text stable
function source_limit(plan text, monthly_limit integer) returns integer immutable
function sync_webhook_urls() returns trigger volatile security definer set search_path=pg_catalog, pg_temp
function table_members(relid oid) returns TABLE(member oid, is_leaf boolean) stable
function table_rules(relids oid[], role_names text[]) returns TABLE(relid oid, fingerprint text, rules jsonb) stable set search_path="", lock_timeout=1s
function take_back_changes(handled_end text) returns void volatile
function tally_minute(source text, since timestamp with time zone, until timestamp with time zone, channel_key text) returns TABLE(event_name text, message_count bigint, wh_audience_count bigint, wh_delivered_count bigint) stable
function unwatch(relation regclass) returns void volatile
function unwatch_all() returns trigger volatile security definer set search_path=pg_catalog, pg_temp
function unwatch_for(relation text) returns boolean volatile set search_path=pg_catalog, pg_temp, lock_timeout=0
function utc_text(value anyelement) returns text stable set TimeZone=UTC
function uuid_v7() returns uuid volatile
function watch("table" regclass, "full" boolean) returns void volatile
function watch_as_owner() returns trigger volatile security definer set search_path=pg_catalog, pg_temp
function watch_as_writer() returns trigger volatile
function watch_for(relation text, wants_full boolean, role_names text[]) returns void volatile set search_path=pg_catalog, pg_temp, lock_timeout=0
function watch_policy_name(relation text) returns name immutable
function watch_refusal(relid oid) returns text stable
function watch_roles(relation text) returns text[] stable
function watched_relation(pattern text) returns text immutable
function webhook_body(format text, label text, pattern text, message_id uuid, channel_id uuid, channel_name text, event_name text, payload text, sender_type text, sender_id text, connection_id text, at timestamp with time zone) returns bytea stable
function webhook_channels(names text[]) returns TABLE(name text, channel_id uuid) stable
function webhook_room(pattern text, channel_name text) returns text immutable
function webhook_secret() returns text volatile
function webhook_targets(names text[], events text[]) returns TABLE(channel_name text, event_name text, endpoint_id uuid) stable
grant delete, insert, select, update on channels to service_role
grant select on history to service_role
grant select on messages to anon
grant select on messages to authenticated
grant delete, insert, select, update on messages to service_role
grant select on webhook_log to service_role
grant select (created_at, description, enabled, id, is_pattern, like_pattern, literal_length, pattern, persist, retention_days, updated_at) on channels to anon
grant select (created_at, description, enabled, id, is_pattern, like_pattern, literal_length, pattern, persist, retention_days, updated_at) on channels to authenticated
grant insert (channel_name, event_name, id, payload) on messages to anon
grant insert (channel_name, event_name, id, payload) on messages to authenticated
closed to public: function accept_webhook(source_id uuid, received_at text, headers jsonb, payload jsonb)
closed to public: function add_message_counts(source text, is_removed boolean, times timestamp with time zone[], channel_keys text[], event_names text[], message_counts bigint[], wh_audience_counts bigint[], wh_delivered_counts bigint[], first_positions text[], last_positions text[])
closed to public: function admit_message()
closed to public: function apply_watch(old_pattern text, new_pattern text, last_try boolean)
closed to public: function change_payload(payload jsonb)
closed to public: function changed_partitions()
closed to public: function channels_fingerprint()
closed to public: function column_rules(relid oid)
closed to public: function count_delivered(sources text[], ids uuid[], times timestamp with time zone[], positions text[])
closed to public: function count_removed()
closed to public: function counts_within(since timestamp with time zone, until timestamp with time zone)
closed to public: function current_position()
closed to public: function delete_rows(parent text, keys text[], times timestamp with time zone[])
closed to public: function drop_deliveries()
closed to public: function drop_partition(parent text, day date)
closed to public: function due_endpoints(room integer)
closed to public: function enqueue_changes(ids uuid[], positions text[], times timestamp with time zone[], target_relations text[], target_events text[], target_endpoints uuid[])
closed to public: function enqueue_messages(ids uuid[], times timestamp with time zone[], positions text[], target_channels text[], target_events text[], target_endpoints uuid[])
closed to public: function enqueue_test(endpoint_id uuid)
closed to public: function ensure_publications(prefix text)
closed to public: function expire_deliveries(give_up_ms bigint, slice integer)
closed to public: function finish_deliveries(holder text, ids bigint[], tries integer[], outcomes text[], durations_ms integer[], statuses integer[], errors text[], response_heads text[], retries_ms integer[], initial_ms bigint, max_ms bigint, give_up_ms bigint, pause_after_ms bigint, OUT delivered integer, OUT dead integer, OUT lost integer, OUT stopped jsonb)
closed to public: function follow_source()
closed to public: function forget_counts()
closed to public: function grant_access(app_roles text[], admin_roles text[])
closed to public: function grant_policy_login(login name)
closed to public: function journal_messages(ids uuid[], times timestamp with time zone[], positions text[], audience_counts integer[], wh_audience_counts integer[])
closed to public: function judge_channels(roles text[], claims text[], channel_names text[], channel_ids uuid[], table_oids oid[])
closed to public: function judge_rows(xids bigint[], relids oid[], expected text[], images text[], sets integer[], statements text[], statement_sets integer[], identity_roles text[], identity_claims text[], identity_channels text[], identity_zones text[], entry_identities integer[], entry_statements integer[], suspects boolean[], budget_ms integer, trace text)
closed to public: function lease_deliveries(holder text, lease_ms integer, request_room integer, byte_room bigint)
closed to public: function lease_room(endpoint realtime.webhook_endpoints)
closed to public: function make_partition(parent text, day date)
closed to public: function message_stats(channel_id uuid, since timestamp with time zone, until timestamp with time zone)
closed to public: function missing_partitions(days_ahead integer)
closed to public: function partitions()
closed to public: function pick_deliveries(endpoint realtime.webhook_endpoints, room integer, byte_room bigint)
closed to public: function policy_rules(relid oid)
closed to public: function position_range(source text, since timestamp with time zone, until timestamp with time zone, channel_key text, event_name text)
closed to public: function publish_as(role_name text, claims text, connection_id text, ids uuid[], channel_names text[], event_names text[], payloads text[])
closed to public: function raise_floors(source text, cause text, channel_keys text[], positions text[])
closed to public: function reconcile_watched()
closed to public: function remove_default_rows(parent text, before timestamp with time zone, first_block bigint, end_block bigint)
closed to public: function remove_deliveries(keep_ms bigint, slice integer)
closed to public: function remove_slice(parent text, since timestamp with time zone, until timestamp with time zone, after_position text, last_position text, days integer, slice integer, OUT due bigint, OUT removed bigint, OUT at_position text)
closed to public: function rules_fingerprint(relids oid[])
closed to public: function set_published(relid oid, published boolean)
closed to public: function settle_counts()
closed to public: function settle_judged(ids bigint[], events text[], payloads text[], reason text)
closed to public: function sync_webhook_urls()
closed to public: function table_rules(relids oid[], role_names text[])
closed to public: function take_back_changes(handled_end text)
closed to public: function tally_minute(source text, since timestamp with time zone, until timestamp with time zone, channel_key text)
closed to public: function unwatch_all()
closed to public: function unwatch_for(relation text)
closed to public: function watch_as_owner()
closed to public: function watch_for(relation text, wants_full boolean, role_names text[])
closed to public: function watch_policy_name(relation text)
closed to public: function watch_roles(relation text)
closed to public: function webhook_body(format text, label text, pattern text, message_id uuid, channel_id uuid, channel_name text, event_name text, payload text, sender_type text, sender_id text, connection_id text, at timestamp with time zone)
closed to public: function webhook_room(pattern text, channel_name text)
closed to public: function webhook_secret()
closed to public: function webhook_targets(names text[], events text[])
