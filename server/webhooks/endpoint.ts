// Owns an endpoint of outgoing webhooks as the API shows it, what may be set of one, and why a write is refused.

import { classifyDatabaseError } from '../db/sqlstate.ts';

export type EndpointMode = 'single' | 'batch';
export type EndpointFormat = 'message' | 'event' | 'payload';
export type EndpointPlan = 'standard' | 'free';
export type EndpointState = 'active' | 'paused' | 'disabled';

/** What the plan `free` allows at once; 000014_webhook_views.sql says the same. */
export const FREE_IN_FLIGHT = 15;
/** What is allowed at once where nothing is said; 000006_webhooks.sql says the same. */
export const DEFAULT_IN_FLIGHT = 30;

export type Endpoint = {
  readonly id: string;
  readonly url: string;
  readonly pattern: string;
  /** The channel whose webhookUrls made it; null for one of its own. */
  readonly channelId: string | null;
  readonly description: string | null;
  /** The apiKey of the format `event`; public. */
  readonly label: string;
  readonly hasToken: boolean;
  readonly events: readonly string[] | null;
  readonly mode: EndpointMode;
  readonly batchIntervalMs: number;
  readonly ordered: boolean;
  readonly maxInFlight: number;
  readonly plan: EndpointPlan;
  readonly format: EndpointFormat;
  /** Null: sees everything. */
  readonly role: string | null;
  readonly claims: Readonly<Record<string, unknown>> | null;
  readonly enabled: boolean;
  readonly state: EndpointState;
  readonly stateReason: string | null;
  readonly stateChangedAt: string;
  readonly consecutiveFailures: number;
  readonly failingSince: string | null;
  /** The secret before the last rotation signs as well until then. */
  readonly previousSecretExpiresAt: string | null;
  readonly createdAt: string;
  readonly updatedAt: string;
};

/** The only form in which a secret is ever shown. */
export type EndpointWithSecret = Endpoint & { readonly secret: string };

/** What is left out stays, or has its default; null resets. */
export type EndpointFields = {
  readonly url?: string | undefined;
  readonly pattern?: string | undefined;
  readonly description?: string | null | undefined;
  readonly token?: string | null | undefined;
  readonly events?: readonly string[] | null | undefined;
  readonly mode?: EndpointMode | undefined;
  readonly batchIntervalMs?: number | undefined;
  readonly ordered?: boolean | undefined;
  readonly maxInFlight?: number | undefined;
  readonly plan?: EndpointPlan | undefined;
  readonly format?: EndpointFormat | undefined;
  readonly role?: string | null | undefined;
  readonly claims?: Readonly<Record<string, unknown>> | null | undefined;
  readonly enabled?: boolean | undefined;
};

export type NewEndpoint = EndpointFields & { readonly url: string; readonly pattern: string };

export type WebhookRefusal = {
  readonly code: 'bad_request' | 'bad_name' | 'unknown_role' | 'not_found' | 'conflict';
  readonly message: string;
};

export type WebhookResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly refusal: WebhookRefusal };

export const NO_SUCH_ENDPOINT: WebhookRefusal = { code: 'not_found', message: 'There is no webhook with this id' };

const GRAMMAR =
  'A pattern has 1 to 200 letters, digits and _ - . : / @ = , ; #, with * for one or more characters, ' +
  'or is db:table or db:schema.table';

const BY_CONSTRAINT: Readonly<Record<string, WebhookRefusal>> = {
  webhook_endpoints_pattern_grammar: { code: 'bad_name', message: GRAMMAR },
  webhook_endpoints_free_in_flight: {
    code: 'bad_request',
    message: `A webhook of the plan free has at most ${FREE_IN_FLIGHT} requests in flight`,
  },
  webhook_endpoints_claims_of_role: { code: 'bad_request', message: 'claims are those of a role: give role as well' },
};

/** A refusal as the result of whatever was asked. */
export function refused(code: WebhookRefusal['code'], message: string): { ok: false; refusal: WebhookRefusal } {
  return { ok: false, refusal: { code, message } };
}

/** Why the database refused to write an endpoint; undefined if that is no fault of what was to be written. */
export function refusalOfWrite(error: unknown): WebhookRefusal | undefined {
  const { kind, constraint = '' } = classifyDatabaseError(error);
  return kind === 'check_violation' ? BY_CONSTRAINT[constraint] : undefined;
}
