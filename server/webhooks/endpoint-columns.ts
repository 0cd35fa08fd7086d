// Owns the way between rows of realtime.webhook_endpoints and endpoints of the API. Secrets and tokens are never read here.

import { type RawBuilder, type Selectable, sql } from 'kysely';
import type { WebhookEndpointsTable } from '../db/schema.ts';
import { rfc3339, rfc3339OrNull } from '../protocol/timestamp-text.ts';
import { DEFAULT_IN_FLIGHT, type Endpoint, type EndpointFields, FREE_IN_FLIGHT } from './endpoint.ts';

export const ENDPOINT_COLUMNS = [
  ...(['id', 'url', 'pattern', 'channel_id', 'description', 'label', 'events', 'mode', 'batch_interval_ms'] as const),
  ...(['ordered', 'max_in_flight', 'plan', 'format', 'role', 'claims', 'enabled', 'state', 'state_reason'] as const),
  ...(['state_changed_at', 'consecutive_failures', 'failing_since', 'previous_secret_expires_at'] as const),
  ...(['created_at', 'updated_at'] as const),
] as const;

/** Whether there is a token, without the token. */
export const HAS_TOKEN = sql<boolean>`token is not null`.as('has_token');

export type EndpointRow = Pick<Selectable<WebhookEndpointsTable>, (typeof ENDPOINT_COLUMNS)[number]> & {
  readonly has_token: boolean;
};

export function endpointOf(row: EndpointRow): Endpoint {
  return {
    id: row.id,
    url: row.url,
    pattern: row.pattern,
    channelId: row.channel_id,
    description: row.description,
    label: row.label,
    hasToken: row.has_token,
    events: row.events,
    mode: row.mode,
    batchIntervalMs: row.batch_interval_ms,
    ordered: row.ordered,
    maxInFlight: row.max_in_flight,
    plan: row.plan,
    format: row.format,
    role: row.role,
    claims: row.claims === null ? null : JSON.parse(row.claims),
    enabled: row.enabled,
    state: row.state,
    stateReason: row.state_reason,
    stateChangedAt: rfc3339(row.state_changed_at),
    consecutiveFailures: row.consecutive_failures,
    failingSince: rfc3339OrNull(row.failing_since),
    previousSecretExpiresAt: rfc3339OrNull(row.previous_secret_expires_at),
    createdAt: rfc3339(row.created_at),
    updatedAt: rfc3339(row.updated_at),
  };
}

/** The columns that the fields set. */
export function columnsOf(fields: EndpointFields) {
  const { batchIntervalMs, claims, events } = fields;
  return {
    ...textsOf(fields),
    ...(events !== undefined && { events: events === null ? null : [...events] }),
    ...(batchIntervalMs !== undefined && { batch_interval_ms: batchIntervalMs }),
    ...(claims !== undefined && { claims: claims === null ? null : JSON.stringify(claims) }),
    ...inFlightOf(fields),
  };
}

function textsOf({ url, pattern, description, token, mode, ordered, plan, format, role, enabled }: EndpointFields) {
  return {
    ...(url !== undefined && { url }),
    ...(pattern !== undefined && { pattern }),
    ...(description !== undefined && { description }),
    ...(token !== undefined && { token }),
    ...(mode !== undefined && { mode }),
    ...(ordered !== undefined && { ordered }),
    ...(plan !== undefined && { plan }),
    ...(format !== undefined && { format }),
    ...(role !== undefined && { role }),
    ...(enabled !== undefined && { enabled }),
  };
}

// Whoever changes the plan and says no number gets no more than the plan allows.
function inFlightOf({ plan, maxInFlight }: EndpointFields): { max_in_flight?: number | RawBuilder<number> } {
  if (maxInFlight !== undefined) return { max_in_flight: maxInFlight };
  return plan === 'free' ? { max_in_flight: sql<number>`least(max_in_flight, ${FREE_IN_FLIGHT}::integer)` } : {};
}

/** The same of a row that is not there yet. */
export function newInFlight({ plan, maxInFlight }: EndpointFields): number {
  return maxInFlight ?? (plan === 'free' ? FREE_IN_FLIGHT : DEFAULT_IN_FLIGHT);
}
