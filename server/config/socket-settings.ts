// Owns the settings of sockets: what a client may send, and what is kept for one that reads slowly.

import { bytes, integer } from './kinds.ts';
import { setting, waitTime } from './setting.ts';

export const SOCKET_SETTINGS = {
  maxFrameBytes: setting(
    'ROWCAST_MAX_FRAME',
    bytes('1KiB', '1MiB', '64KiB'),
    '64KiB',
    'The largest frame of a client, else 4413.',
  ),
  maxUnauthenticatedFrameBytes: setting(
    'ROWCAST_MAX_UNAUTHENTICATED_FRAME',
    bytes('256', '1MiB', '8KiB'),
    '8KiB',
    'The largest frame before authentication.',
  ),
  maxMessageBytes: setting(
    'ROWCAST_MAX_MESSAGE',
    bytes('1KiB', '16MiB', '256KiB'),
    '256KiB',
    'The largest message; a larger row comes with its key alone.',
  ),
  maxSubscriptions: setting(
    'ROWCAST_MAX_SUBSCRIPTIONS',
    integer(1, 100_000, 100),
    '100',
    'Subscriptions of one connection.',
  ),
  maxFramesPerSecond: setting(
    'ROWCAST_MAX_FRAMES_PER_SECOND',
    integer(1, 1_000_000, 100),
    '100',
    'Frames of one connection a second, else 4429.',
  ),
  maxQueuedBytes: setting(
    'ROWCAST_MAX_QUEUED',
    bytes('16KiB', '1GiB', '1MiB'),
    '1MiB',
    'What may wait in a socket; above it for too long: 4490.',
  ),
  maxQueuedMs: setting('ROWCAST_MAX_QUEUED_TIME', waitTime('2s'), '2s', 'How long a socket may be above its bound.'),
  pingIntervalMs: setting('ROWCAST_PING_INTERVAL', waitTime('25s'), '25s', 'How often a socket is pinged.'),
  pongTimeoutMs: setting('ROWCAST_PONG_TIMEOUT', waitTime('10s'), '10s', 'How long its pong may take, else 4408.'),
  maxUnauthenticated: setting(
    'ROWCAST_MAX_UNAUTHENTICATED',
    integer(1, 1_000_000, 1000),
    '1000',
    'Sockets that are not yet authenticated, in all.',
  ),
  maxUnauthenticatedPerAddress: setting(
    'ROWCAST_MAX_UNAUTHENTICATED_PER_ADDRESS',
    integer(1, 1_000_000, 20),
    '20',
    'The same, of one address.',
  ),
} as const;
