// Owns the settings of policies: how much of the database they may take, and how often they are asked again.

import { integer } from './kinds.ts';
import { setting, waitTime } from './setting.ts';

export const POLICY_SETTINGS = {
  poolSize: setting('ROWCAST_POLICY_POOL_SIZE', integer(1, 100, 4), '4', 'Connections for policies of subscribers.'),
  publishPoolSize: setting(
    'ROWCAST_PUBLISH_POOL_SIZE',
    integer(1, 100, 8),
    '8',
    'Connections on which users publish, under their policies.',
  ),
  timeoutMs: setting(
    'ROWCAST_POLICY_TIMEOUT',
    waitTime('2s'),
    '2s',
    'After this a policy that judges rows is cancelled, and quarantined.',
  ),
  reviewMs: setting(
    'ROWCAST_SUBSCRIPTION_REVIEW',
    waitTime('60s'),
    '60s',
    'How often live subscriptions are judged again although nothing changed.',
  ),
} as const;
