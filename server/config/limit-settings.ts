// Owns the settings of rates and numbers that are limited per address and per user. ROWCAST_RATE_LIMIT=off lifts
// all of them, and those of frames and failed tokens.

import { flag, integer } from './kinds.ts';
import { setting } from './setting.ts';

export const LIMIT_SETTINGS = {
  rateLimit: setting('ROWCAST_RATE_LIMIT', flag, 'on', 'off lifts all rate limits (benches, trusted networks).'),
  requestsPerMinute: setting(
    'ROWCAST_REQUESTS_PER_MINUTE',
    integer(1, 10_000_000, 1200),
    '1200',
    'REST requests of one address a minute.',
  ),
  requestsPerMinutePerUser: setting(
    'ROWCAST_REQUESTS_PER_MINUTE_PER_USER',
    integer(1, 10_000_000, 1200),
    '1200',
    'REST requests of one user a minute.',
  ),
  publishesPerSecond: setting(
    'ROWCAST_PUBLISHES_PER_SECOND',
    integer(1, 1_000_000, 100),
    '100',
    'Messages that one user may publish a second, over sockets and REST; twice as many at once.',
  ),
  webhooksPerSecond: setting(
    'ROWCAST_SOURCE_WEBHOOKS_PER_SECOND',
    integer(1, 1_000_000, 100),
    '100',
    'Webhooks that one source takes a second; twice as many at once.',
  ),
  connectionsPerAddress: setting(
    'ROWCAST_MAX_CONNECTIONS_PER_ADDRESS',
    integer(1, 1_000_000, 1000),
    '1000',
    'Sockets of one address.',
  ),
  connectionsPerUser: setting(
    'ROWCAST_MAX_CONNECTIONS_PER_USER',
    integer(1, 1_000_000, 100),
    '100',
    'Sockets of one user.',
  ),
} as const;
