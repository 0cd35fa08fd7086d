// Owns what delivery counts, as the composition root connects it to metrics.

export interface DeliveryCounters {
  /** A run was fanned out: so many changes, each to so many subscriptions. */
  delivered(changes: number, counts: Uint32Array): void;
  /** History of so many changes was committed. */
  journaled(changes: number): void;
}
