// Owns what delivery counts, as the composition root connects it to metrics.

export interface DeliveryCounters {
  changes(count: number): void;
  deliveries(count: number): void;
}
