// Owns what delivery counts, as the composition root connects it to metrics.

export interface DeliveryCounters {
  /** A run was fanned out: so many changes, each to so many subscriptions. */
  delivered(changes: number, counts: Uint32Array): void;
  /** The access to a table could not be decided, and so was denied to all but admins. */
  undecided(): void;
  /** History of so many changes was committed. */
  journaled(changes: number): void;
}
