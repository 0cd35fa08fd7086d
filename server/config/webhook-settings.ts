// Owns the settings of webhooks out: where they may lead, how they are tried, and how long they are kept.

import { duration, flag, integer, networks } from './kinds.ts';
import { setting, waitTime } from './setting.ts';

export const WEBHOOK_SETTINGS = {
  enabled: setting(
    'ROWCAST_WEBHOOKS',
    flag,
    'on',
    'Whether this process sends webhooks; deliveries are written all the same.',
  ),
  allow: setting('ROWCAST_WEBHOOK_ALLOW', networks, '', 'Private networks that webhooks may reach.'),
  httpsOnly: setting('ROWCAST_WEBHOOK_HTTPS_ONLY', flag, 'false', 'Whether webhook URLs must be https.'),
  timeoutMs: setting(
    'ROWCAST_WEBHOOK_TIMEOUT',
    duration('10ms', '5m', '15s'),
    '15s',
    'How long a receiver may take to answer.',
  ),
  retryInitialMs: setting(
    'ROWCAST_WEBHOOK_RETRY_INITIAL',
    waitTime('2s'),
    '2s',
    'The first wait after a failure; it doubles each time.',
  ),
  retryMaxMs: setting('ROWCAST_WEBHOOK_RETRY_MAX', waitTime('5m'), '5m', 'The longest wait between two attempts.'),
  giveUpMs: setting(
    'ROWCAST_WEBHOOK_GIVE_UP',
    duration('1ms', '90d', '24h'),
    '24h',
    'At this age a delivery that keeps failing is given up; it can be sent again by hand.',
  ),
  pauseAfterMs: setting(
    'ROWCAST_WEBHOOK_PAUSE_AFTER',
    duration('1ms', '365d', '3d'),
    '3d',
    'An endpoint that failed for so long is paused; longer than ROWCAST_WEBHOOK_GIVE_UP.',
  ),
  maxInFlight: setting(
    'ROWCAST_WEBHOOK_MAX_IN_FLIGHT',
    integer(1, 10_000, 200),
    '200',
    'Requests that this process has under way at once.',
  ),
  keepMs: setting(
    'ROWCAST_WEBHOOK_KEEP',
    duration('1ms', '365d', '7d'),
    '7d',
    'How long finished deliveries and their attempts are kept; dead ones four times as long.',
  ),
} as const;
