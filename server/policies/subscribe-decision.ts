// Owns the question and the answer of subscribing: may this identity subscribe to this channel? Refusals
// are values, and say the same for channels that are forbidden and channels that do not exist.

import type { Identity } from '../auth/identity.ts';
import type { ParsedChannel } from '../protocol/channel-name.ts';
import type { Refusal } from '../protocol/error-codes.ts';
import type { Warning } from '../protocol/server-frame.ts';

export type SubscribeDecision =
  | { readonly allowed: true; readonly warnings: readonly Warning[] }
  | { readonly allowed: false; readonly refusal: Refusal };

export interface SubscribePolicy {
  /** Decides; waits until a watched table's watching is complete. Never rejects for expected refusals. */
  decide(identity: Identity, channel: ParsedChannel): Promise<SubscribeDecision>;
}
