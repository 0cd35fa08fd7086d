// Owns the names and help texts of all metrics, and the registry that prints them. Labels are bounded sets:
// never a concrete channel, a table of the user's, an address or an identity. Who counts what is told in
// each help text; nothing here reads another room.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Registry } from '@prometheus-io/client';

/** Everything the server counts. Counters only grow; gauges are set to what is so now. */
export type Metrics = ReturnType<typeof createMetrics>;

/** A registry of its own, not the library's global one: tests and several servers in one process stay apart. */
export function createMetrics() {
  const registry = new Registry();
  const processMetrics = observeProcess(registry);
  const refreshers: (() => void)[] = [];
  return {
    ...socketMetrics(registry),
    ...streamMetrics(registry),
    ...fanOutMetrics(registry),
    ...historyMetrics(registry),
    ...webhookMetrics(registry),
    contentType: registry.contentType,
    /** `refresh` is called before each scrape, to set gauges that nobody counts. */
    beforeScrape: (refresh: () => void): void => void refreshers.push(refresh),
    /** The text format of Prometheus. */
    text: (): Promise<string> => {
      for (const refresh of refreshers) refresh();
      return registry.metrics();
    },
    /** Ends the observing of the process. */
    close: (): void => processMetrics.close(),
  };
}

function socketMetrics(registry: Registry) {
  const { counter, gauge, counterBy } = makersFor(registry);
  return {
    connections: gauge('rowcast_connections', 'Authenticated connections, open now'),
    unauthenticatedSockets: gauge('rowcast_unauthenticated_sockets', 'Sockets that have not authenticated yet'),
    subscriptions: gauge('rowcast_subscriptions', 'Subscriptions, live now'),
    framesIn: counterBy('rowcast_frames_received_total', 'Frames from clients, by type', 'type'),
    errorFrames: counterBy('rowcast_error_frames_total', 'Error frames sent, by code', 'code'),
    bytesIn: counter('rowcast_socket_received_bytes_total', 'Bytes of client frames'),
    bytesOut: counter('rowcast_socket_sent_bytes_total', 'Bytes written to sockets, framing included'),
    closes: counterBy('rowcast_socket_closes_total', 'Closed sockets, by the close code seen or sent', 'code'),
    refusedUpgrades: counterBy('rowcast_refused_upgrades_total', 'Refused WebSocket upgrades, by reason', 'reason'),
    subscribeDecisions: counterBy(
      'rowcast_subscribe_decisions_total',
      'Decisions about subscriptions, by outcome',
      'outcome',
    ),
    endedSubscriptions: counterBy(
      'rowcast_subscriptions_ended_total',
      'Live subscriptions that the server ended, by reason',
      'reason',
    ),
    published: counterBy(
      'rowcast_published_total',
      'Messages that sockets and REST published; what was refused counts once a request',
      'via',
      'outcome',
    ),
    rateLimited: counterBy(
      'rowcast_rate_limited_total',
      'Publishes, requests and connections refused because there were too many of an address or a user, by kind',
      'kind',
    ),
    webhooksReceived: counterBy(
      'rowcast_webhooks_received_total',
      'Incoming webhooks, by status of the answer',
      'status',
    ),
    authFailures: counterBy('rowcast_auth_failures_total', 'Refused tokens, by reason', 'reason'),
  };
}

function streamMetrics(registry: Registry) {
  const { counter, gauge } = makersFor(registry);
  return {
    changes: counter('rowcast_changes_total', 'Row changes that were read and fanned out'),
    publishedMessages: counter(
      'rowcast_streamed_messages_total',
      'Published messages that were read from the stream and fanned out',
    ),
    streamConnected: gauge('rowcast_stream_connected', '1 while the replication stream is up'),
    streamStarts: counter(
      'rowcast_stream_starts_total',
      'How often the stream was started; more than once: it had failed',
    ),
    journalPendingBytes: gauge('rowcast_journal_pending_bytes', 'Bytes of memory that wait for the journal'),
    confirmedLagBytes: gauge('rowcast_confirmed_lag_bytes', 'Bytes of WAL between its end and the confirmed position'),
    retainedWalBytes: gauge('rowcast_retained_wal_bytes', 'Bytes of WAL that the slot holds back'),
    slotLagBytes: gauge('rowcast_slot_lag_bytes', 'Bytes of WAL between its end and what the slot has confirmed'),
    sheddings: counter(
      'rowcast_sheddings_total',
      'How often live work was shed because the slot held back too much WAL',
    ),
    blownFuses: counter(
      'rowcast_blown_fuses_total',
      'How often the slot was given up because it held back too much WAL',
    ),
    epoch: gauge('rowcast_epoch', 'The current epoch'),
  };
}

function fanOutMetrics(registry: Registry) {
  const { counter, gauge } = makersFor(registry);
  return {
    messages: counter('rowcast_messages_total', 'Messages that had at least one subscriber'),
    deliveries: counter('rowcast_deliveries_total', 'Messages queued to a subscription'),
    slowReaders: counter('rowcast_slow_readers_total', 'Connections cut because they read too slowly'),
    policyErrors: counter(
      'rowcast_policy_errors_total',
      'Rows denied to an identity because its policy or filter raised',
    ),
    judgeCalls: counter('rowcast_judge_calls_total', 'Calls of the database that judged rows'),
    judgedPairs: counter('rowcast_judged_pairs_total', 'Row images judged, times those for whom'),
    judgeSeconds: counter('rowcast_judge_seconds_total', 'Time spent waiting for rows to be judged'),
    quarantines: counter(
      'rowcast_quarantines_total',
      'Policies or filters that took too long, and were left alone for a while',
    ),
    replaysUnderWay: gauge('rowcast_replays', 'Subscriptions on their way to being live, by replay or snapshot'),
    replayedMessages: counter('rowcast_replayed_messages_total', 'Messages sent from history to who resumed'),
    replayOverflows: counter(
      'rowcast_replay_overflows_total',
      'Replays that began again at the end of history, for what came meanwhile did not fit into memory',
    ),
    snapshotRows: counter('rowcast_snapshot_rows_total', 'Rows sent in snapshots'),
    quarantined: gauge('rowcast_quarantined', 'Policies or filters that are left alone now'),
    ephemeralMessages: counter('rowcast_ephemeral_messages_total', 'Messages fanned out that are not persisted'),
    journaledMessages: counter(
      'rowcast_journaled_messages_total',
      'Published messages that got their place in history',
    ),
    journaledChanges: counter('rowcast_journaled_changes_total', 'Row changes written to the history'),
  };
}

function historyMetrics(registry: Registry) {
  const { counter, gauge } = makersFor(registry);
  return {
    partitionsMade: counter('rowcast_partitions_made_total', 'Day partitions of history that were made'),
    partitionsDropped: counter('rowcast_partitions_dropped_total', 'Day partitions of history that were dropped'),
    historyRowsRemoved: counter('rowcast_history_rows_removed_total', 'Messages and changes that retention removed'),
    historyFailures: counter(
      'rowcast_history_failures_total',
      'Partitions that could not be made or dropped, for somebody was using the table; tried again',
    ),
    historyOldestDay: gauge(
      'rowcast_history_oldest_day_seconds',
      'Beginning of the oldest day that has a partition, Unix time; 0 without one',
    ),
    historyDaysReady: gauge('rowcast_history_days_ready', 'Days in a row, from today on, that have their partitions'),
    defaultPartitionBytes: gauge(
      'rowcast_history_default_bytes',
      'Size of the partitions that take what has none of its day; large: see docs/history.md',
    ),
  };
}

function webhookMetrics(registry: Registry) {
  const { counter, gauge, counterBy } = makersFor(registry);
  return {
    webhookAttempts: counterBy(
      'rowcast_webhook_attempts_total',
      'Webhook requests sent, by what came of them; a batch is one',
      'outcome',
    ),
    webhookSeconds: counter('rowcast_webhook_seconds_total', 'Time spent waiting for receivers of webhooks'),
    webhooksInFlight: gauge('rowcast_webhook_requests', 'Webhook requests under way'),
    webhookDelivered: counter('rowcast_webhook_delivered_total', 'Deliveries that a receiver acknowledged'),
    webhookDead: counter('rowcast_webhook_dead_total', 'Deliveries that were given up; they can be sent again by hand'),
    webhookLostLeases: counter(
      'rowcast_webhook_lost_leases_total',
      'Deliveries whose lease was over before what came of them was written; they are sent again',
    ),
    webhookStopped: counterBy(
      'rowcast_webhook_endpoints_stopped_total',
      'Endpoints that were paused for failing too long, or disabled by their receiver',
      'state',
    ),
    webhookRemoved: counter('rowcast_webhook_deliveries_removed_total', 'Old deliveries that were removed'),
  };
}

function makersFor(registry: Registry) {
  const registers = [registry];
  return {
    counter: (name: string, help: string) => new Counter({ name, help, registers }),
    gauge: (name: string, help: string) => new Gauge({ name, help, registers }),
    counterBy: <Label extends string>(name: string, help: string, ...labelNames: Label[]) =>
      new Counter({ name, help, registers, labelNames }),
  };
}

const NANOSECONDS = 1e9;

// Observed on each scrape; the delay histogram is emptied by it, so its values speak of the last interval.
function observeProcess(registry: Registry): { close(): void } {
  const delay = monitorEventLoopDelay({ resolution: 20 });
  delay.enable();
  const observed = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect: function () {
        this.set(read());
      },
    });
  };
  observed(
    'rowcast_event_loop_lag_p99_seconds',
    'Event loop delay, 99th percentile since the last scrape',
    () => delay.percentile(99) / NANOSECONDS,
  );
  observed('rowcast_event_loop_lag_max_seconds', 'Largest event loop delay since the last scrape', () => {
    const max = delay.max / NANOSECONDS;
    delay.reset();
    return max;
  });
  observed('process_resident_memory_bytes', 'Resident memory', () => process.memoryUsage.rss());
  observed('process_heap_used_bytes', 'Used heap', () => process.memoryUsage().heapUsed);
  observed('process_uptime_seconds', 'Seconds since the start', () => process.uptime());
  return { close: () => delay.disable() };
}
