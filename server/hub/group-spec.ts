// Owns what makes two subscriptions of a channel get the same bytes. The hub only compares keys; delivery
// reads the fields when it judges and encodes, once for all members of a group.

import type { Identity } from '../auth/identity.ts';
import type { Dialect } from '../protocol/dialect.ts';

/** What a subscription wants of a table's rows. What is in it is known to whoever made it and to delivery. */
export interface RowFilter {
  /** Equal for filters that always give the same rows and columns. */
  readonly key: string;
}

export type GroupSpec = {
  /** Which codec writes the bytes: that of the connection. */
  readonly dialect: Dialect;
  /** The channel as the client spelled it; frames carry this spelling. */
  readonly channelName: string;
  /** Event names wanted; null for all. */
  readonly events: ReadonlySet<string> | null;
  /** Null for all rows and columns that the identity may see. */
  readonly filter: RowFilter | null;
  /** The identity that is judged; equal `classKey`s are judged once. */
  readonly identity: Identity;
  /** False: not what the subscription's own connection published. */
  readonly echo?: boolean | undefined;
  /** Present where frames must say which of several subscriptions on the channel they belong to. */
  readonly subscriptionId?: string | undefined;
};

/** Equal exactly for specs whose members always get the same bytes. */
export function groupKey({ dialect, channelName, events, filter, identity, echo, subscriptionId }: GroupSpec): string {
  const wanted = events === null ? '*' : [...events].sort();
  const told = [echo !== false, subscriptionId ?? null];
  return JSON.stringify([dialect, channelName, wanted, filter?.key ?? null, identity.classKey, ...told]);
}
