// Owns the question and the answer of subscribing: may this identity subscribe to this channel? Refusals
// are values, and say the same for channels that are forbidden and channels that do not exist.

import type { Identity } from '../auth/identity.ts';
import type { ParsedChannel } from '../protocol/channel-name.ts';
import type { FilterFrame } from '../protocol/client-frame.ts';
import type { Refusal } from '../protocol/error-codes.ts';
import type { EndReason, Warning } from '../protocol/server-frame.ts';
import type { TableFilter } from './row-filter.ts';
import type { TableRules } from './table-rules.ts';

export type Allowed = {
  readonly allowed: true;
  readonly warnings: readonly Warning[];
  /** What is known of the table of a `db:` channel; null for other channels. */
  readonly table: TableRules | null;
  /** Another one once the table was made or watched anew: a live subscription may have missed changes then. */
  readonly watch: string | null;
  /** The table is watched completely: no transaction is open that may have written before. */
  readonly isComplete: boolean;
  /** What a `where` adds to `warnings`. */
  readonly whereWarnings: readonly Warning[];
};

export type SubscribeDecision =
  | Allowed
  /** `endReason` is what a live subscription that meets this refusal is told. */
  | { readonly allowed: false; readonly refusal: Refusal; readonly endReason: EndReason };

export type SubscribeQuestion = { readonly identity: Identity; readonly channel: ParsedChannel };

export type RowFilterResult =
  | { readonly ok: true; readonly filter: TableFilter | null }
  | { readonly ok: false; readonly refusal: Refusal };

export interface SubscribePolicy {
  /** Decides; waits until a watched table's watching is complete. Never rejects for expected refusals. */
  decide(identity: Identity, channel: ParsedChannel): Promise<SubscribeDecision>;
  /**
   * Decides about subscriptions that live already: reads anew, remembers nothing, and waits for no table. Answers
   * in the order of the questions. Rejects when the database cannot be asked.
   */
  review(questions: readonly SubscribeQuestion[]): Promise<readonly SubscribeDecision[]>;
  /** Reads `where` and `columns` of a filter for whoever was allowed; `bad_filter` refusals are values. */
  readFilter(identity: Identity, table: TableRules, filter: FilterFrame): Promise<RowFilterResult>;
}
