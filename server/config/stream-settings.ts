// Owns the settings of the stream: how the slot is read and let go, and how changes are delivered and kept.

import { bytes, duration, integer, sqlName } from './kinds.ts';
import { setting, waitTime } from './setting.ts';

export const REPLICATION_SETTINGS = {
  slot: setting(
    'ROWCAST_SLOT',
    sqlName('rowcast'),
    'rowcast',
    'The replication slot; unique among all databases of the server.',
  ),
  publication: setting('ROWCAST_PUBLICATION', sqlName('rowcast'), 'rowcast', 'The prefix of the publications.'),
  maxRetainedWalBytes: setting(
    'ROWCAST_MAX_RETAINED_WAL',
    bytes('16MiB', '64TiB', '8GiB'),
    '8GiB',
    'WAL the slot may hold back: at half of it live work is shed, at all of it the slot is dropped and everyone told.',
  ),
  slotWatchMs: setting(
    'ROWCAST_SLOT_WATCH',
    waitTime('5s'),
    '5s',
    'How often it is looked at what the slot holds back, and whether the publications are still the same.',
  ),
  leaseMs: setting(
    'ROWCAST_LEASE',
    waitTime('5s'),
    '5s',
    'A leading server that is silent for so long is replaced by one that waits. The same for all servers of a database.',
  ),
  statusIntervalMs: setting(
    'ROWCAST_STATUS_INTERVAL',
    waitTime('10s'),
    '10s',
    'How often the confirmed position is repeated to the database.',
  ),
  idleRaiseBytes: setting(
    'ROWCAST_IDLE_RAISE',
    bytes('1', '1GiB', '1MiB'),
    '1MiB',
    'WAL of others that an idle slot holds back before it lets go.',
  ),
  idleRaiseIntervalMs: setting(
    'ROWCAST_IDLE_RAISE_INTERVAL',
    waitTime('60s'),
    '60s',
    'It lets go of less than that after this time.',
  ),
  keepaliveRunLimit: setting(
    'ROWCAST_KEEPALIVE_RUN',
    integer(1, 10_000, 20),
    '20',
    'So many urgent keepalives with nothing in flight mean that the database is stopping.',
  ),
  watchTimeoutMs: setting(
    'ROWCAST_WATCH_TIMEOUT',
    waitTime('30s'),
    '30s',
    'How long a first watch waits for transactions that are already open.',
  ),
  reconnectInitialMs: setting(
    'ROWCAST_RECONNECT_INITIAL',
    waitTime('100ms'),
    '100ms',
    'The first wait before connecting again.',
  ),
  reconnectMaxMs: setting('ROWCAST_RECONNECT_MAX', waitTime('2s'), '2s', 'The longest wait before connecting again.'),
} as const;

export const DELIVERY_SETTINGS = {
  maxAheadBytes: setting(
    'ROWCAST_MAX_AHEAD',
    bytes('64KiB', '16GiB', '64MiB'),
    '64MiB',
    'How far the fan-out may run ahead of the journal.',
  ),
  batchBytes: setting(
    'ROWCAST_BATCH_BYTES',
    bytes('4KiB', '256MiB', '1MiB'),
    '1MiB',
    'How much of the stream is taken at once, at most; also what is read ahead.',
  ),
  drainWaitMs: setting(
    'ROWCAST_DRAIN_WAIT',
    duration('0', '10s', '50ms'),
    '50ms',
    'How long a batch waits for sockets that make progress.',
  ),
  journalRows: setting(
    'ROWCAST_JOURNAL_ROWS',
    integer(1, 1_000_000, 20_000),
    '20000',
    'Changes that the journal writes in one transaction.',
  ),
  journalDelayMs: setting(
    'ROWCAST_JOURNAL_DELAY',
    duration('0', '10s', '5ms'),
    '5ms',
    'How long the journal waits for more to write at once.',
  ),
} as const;
