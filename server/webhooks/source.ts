// Owns a source of incoming webhooks as the API shows it, what may be set of one, and why a write is refused.

import { classifyDatabaseError } from '../db/sqlstate.ts';

export type SourcePlan = 'free' | 'metered';

/** What the plan `free` allows a month; sql/functions/source_limit.sql says the same. */
export const FREE_MONTHLY_LIMIT = 1_000;

export type Source = {
  readonly id: string;
  readonly name: string;
  readonly slug: string;
  /** Where its sender posts to. */
  readonly path: string;
  readonly channel: string;
  readonly plan: SourcePlan;
  /** What was set; null = what the plan says. */
  readonly monthlyLimit: number | null;
  readonly enabled: boolean;
  /** Whether signatures of its sender are checked. The secret itself is never shown. */
  readonly verifiesSignature: boolean;
  /** When its token was last rotated. */
  readonly rotatedAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
};

/** The only form in which the token of its readers is ever shown. */
export type SourceWithToken = Source & { readonly token: string };

/** What is left out stays, or has its default; null resets. */
export type SourceFields = {
  readonly name?: string | undefined;
  readonly plan?: SourcePlan | undefined;
  readonly monthlyLimit?: number | null | undefined;
  readonly enabled?: boolean | undefined;
  /** `whsec_…`, as the sender has it. */
  readonly verificationSecret?: string | null | undefined;
};

export type NewSource = SourceFields & { readonly name: string };

export type SourceUsage = {
  /** `2024-05` */
  readonly month: string;
  readonly accepted: number;
  /** Null: any number. */
  readonly limit: number | null;
};

export type SourceRefusal = { readonly code: 'bad_request' | 'not_found'; readonly message: string };

export type SourceResult<T = Source> =
  | { readonly ok: true; readonly source: T }
  | { readonly ok: false; readonly refusal: SourceRefusal };

export const NO_SUCH_SOURCE: SourceRefusal = { code: 'not_found', message: 'There is no source with this id' };

/** Why the database refused to write a source; undefined if that is no fault of what was to be written. */
export function refusalOfWrite(error: unknown): SourceRefusal | undefined {
  const { kind, constraint } = classifyDatabaseError(error);
  if (kind !== 'check_violation' || constraint !== 'sources_free_limit') return undefined;
  return { code: 'bad_request', message: `A source of the plan free takes at most ${FREE_MONTHLY_LIMIT} a month` };
}
