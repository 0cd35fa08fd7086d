// Owns a delivery and its attempts as the API shows them, and what may be asked of them.

import type { WebhookRefusal } from './endpoint.ts';

export type DeliveryState = 'unjudged' | 'hidden' | 'pending' | 'leased' | 'delivered' | 'dead' | 'cancelled';

export const DELIVERY_STATES: readonly DeliveryState[] = [
  ...(['unjudged', 'hidden', 'pending', 'leased', 'delivered', 'dead', 'cancelled'] as const),
];

export type Delivery = {
  /** Digits; in the order of messages. */
  readonly id: string;
  readonly endpointId: string;
  readonly messageId: string;
  readonly channelName: string;
  readonly event: string;
  readonly source: 'messages' | 'changes' | 'test';
  readonly state: DeliveryState;
  readonly attempts: number;
  readonly batchId: string | null;
  readonly nextAttemptAt: string | null;
  readonly firstAttemptAt: string | null;
  readonly giveUpAt: string | null;
  readonly finishedAt: string | null;
  readonly lastStatus: number | null;
  readonly lastError: string | null;
  readonly createdAt: string;
};

export type Attempt = {
  readonly attempt: number;
  readonly startedAt: string;
  readonly durationMs: number | null;
  readonly status: number | null;
  readonly error: string | null;
  /** The first bytes of the answer. */
  readonly responseHead: string | null;
};

export type DeliveryWithAttempts = Delivery & {
  /** What is sent, to the byte; of a batch what this message is in it. Null while it is still to be made. */
  readonly body: string | null;
  readonly attemptLog: readonly Attempt[];
};

export type DeliveryQuery = {
  readonly endpointId?: string | undefined;
  readonly state?: DeliveryState | undefined;
  readonly channel?: string | undefined;
  /** RFC 3339; by when deliveries were written. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  /** The id of the last one of the page before. */
  readonly before?: string | undefined;
  readonly limit: number;
};

export type RecoveryQuery = {
  /** RFC 3339; by when deliveries were written. */
  readonly since: string;
  readonly until?: string | undefined;
  readonly channel?: string | undefined;
  readonly event?: string | undefined;
  /** Which of them are sent again. */
  readonly states: readonly RecoverableState[];
};

export type RecoverableState = 'dead' | 'cancelled' | 'delivered';

export const NO_SUCH_DELIVERY: WebhookRefusal = { code: 'not_found', message: 'There is no delivery with this id' };
