// Owns the two nouns of routing: a subscription, and the group of subscriptions of one channel that always
// get the same bytes, because their specs are equal.

import type { Backlog } from './backlog.ts';
import type { Connection } from './connection.ts';
import type { GroupSpec } from './group-spec.ts';

export type Subscription = {
  readonly id: string;
  readonly connection: Connection;
  /** The canonical channel. */
  readonly channel: string;
  group: Group;
  /** Takes what is delivered until it is live; null from then on. */
  backlog: Backlog | null;
};

/** Subscriptions of one channel that share every byte; `spec` is judged once for all of them. */
export type Group = {
  readonly channel: string;
  readonly key: string;
  readonly spec: GroupSpec;
  readonly members: Set<Subscription>;
};
