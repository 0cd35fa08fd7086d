// Owns the settings of resuming and of snapshots: how much of the database and of memory they may take.

import { bytes, integer } from './kinds.ts';
import { setting, waitTime } from './setting.ts';

export const REPLAY_SETTINGS = {
  maxAtOnce: setting(
    'ROWCAST_MAX_REPLAYS',
    integer(1, 10_000, 32),
    '32',
    'Replays that read and judge at once, in all; the others wait their turn.',
  ),
  maxOfConnection: setting(
    'ROWCAST_MAX_REPLAYS_PER_CONNECTION',
    integer(1, 1_000, 4),
    '4',
    'The same of one connection; snapshots count alike.',
  ),
  poolSize: setting(
    'ROWCAST_REPLAY_POOL_SIZE',
    integer(1, 100, 4),
    '4',
    'Connections on which history is read for who resumes.',
  ),
  snapshotPoolSize: setting(
    'ROWCAST_SNAPSHOT_POOL_SIZE',
    integer(1, 100, 8),
    '8',
    'Snapshots at once: each has a connection until its reader has all rows.',
  ),
  snapshotTimeoutMs: setting(
    'ROWCAST_SNAPSHOT_TIMEOUT',
    waitTime('60s'),
    '60s',
    'How long a snapshot may take, its reader included: as long the database cannot clean up.',
  ),
  maxHeldBytes: setting(
    'ROWCAST_MAX_HELD',
    bytes('64KiB', '16GiB', '64MiB'),
    '64MiB',
    'Memory for what is delivered while the last of history is sent, of all who resume.',
  ),
} as const;
