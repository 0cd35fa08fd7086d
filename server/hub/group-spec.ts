// Owns what makes two subscriptions of a channel get the same bytes. The hub only compares keys; delivery
// reads the fields when it judges and encodes, once for all members of a group.

import type { Identity } from '../auth/identity.ts';

export type GroupSpec = {
  /** Which codec writes the bytes: `rowcast`, later others. */
  readonly dialect: string;
  /** The channel as the client spelled it; frames carry this spelling. */
  readonly channelName: string;
  /** Event names wanted; null for all. */
  readonly events: ReadonlySet<string> | null;
  /** The identity that is judged; equal `classKey`s are judged once. */
  readonly identity: Identity;
  /** Present where frames must say which of several subscriptions on the channel they belong to. */
  readonly subscriptionId?: string | undefined;
};

/** Equal exactly for specs whose members always get the same bytes. */
export function groupKey(spec: GroupSpec): string {
  const events = spec.events === null ? '*' : [...spec.events].sort();
  return JSON.stringify([spec.dialect, spec.channelName, events, spec.identity.classKey, spec.subscriptionId ?? null]);
}
