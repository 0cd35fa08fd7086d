// Owns what delivery counts, as the composition root connects it to metrics.

import type { Run } from './stretch.ts';

export interface DeliveryCounters {
  /** A run was fanned out: so many messages, each to so many subscriptions. */
  delivered(kind: Run['kind'], messages: number, counts: Uint32Array): void;
  /** History of so many changes and published messages was committed. */
  journaled(changes: number, published: number): void;
  /** A message that is not persisted went to so many subscriptions. */
  ephemeral(audienceCount: number): void;
}
