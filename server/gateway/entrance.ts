// Owns what upgrades and requests for streams go through before they are let in: the page that asks, the places of an
// address and a user, and who it is that asks. Cheap checks first; every refusal is plain HTTP.

import type { FastifyRequest } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Identity } from '../auth/identity.ts';
import type { TicketBox } from '../auth/ticket-box.ts';
import type { Metrics } from '../stats/metrics.ts';
import { type ConnectionPlaces, tooManyOfAddress, tooManyOfUser } from './connection-places.ts';
import type { Credentials } from './credentials.ts';
import type { GatewaySettings } from './gateway-settings.ts';
import type { Place } from './held-places.ts';
import { httpRefusalOf } from './http-auth.ts';
import type { HttpRefusal } from './http-refusal.ts';
import { isHostTrusted, isOriginAllowed } from './origin-check.ts';

export type EntranceDeps = {
  readonly settings: GatewaySettings;
  readonly authenticator: Authenticator;
  readonly tickets: TicketBox;
  readonly places: ConnectionPlaces;
  readonly metrics: Pick<Metrics, 'refusedUpgrades' | 'rateLimited'>;
  readonly isDraining: () => boolean;
};

export type Refused = { readonly ok: false; readonly refusal: HttpRefusal };
export type Identified = { readonly ok: true; readonly identity: Identity | undefined } | Refused;
export type Taken = { readonly ok: true; readonly place: Place } | Refused;

export const RESTARTING: HttpRefusal = {
  statusCode: 503,
  error: 'unavailable',
  message: 'Restarting',
  retryAfterMs: 1_000,
};

/** Why the page that asks, if it is one, may not connect. `isAnonymous`: it brings no credential. */
export function judgePage(
  request: FastifyRequest,
  isAnonymous: boolean,
  settings: GatewaySettings,
): HttpRefusal | undefined {
  const { allowedOrigins, host: listenHost } = settings.http;
  const facts = { origin: request.headers.origin, host: request.host, allowedOrigins };
  if (!isOriginAllowed(facts))
    return forbidden('origin_not_allowed', 'This Origin may not connect: see ROWCAST_ALLOWED_ORIGINS');
  if (!settings.auth.allowAnon || !isAnonymous || isHostTrusted(facts, listenHost)) return undefined;
  return forbidden('host_not_allowed', 'This Host is not known: name it in ROWCAST_ALLOWED_ORIGINS');
}

/** Who brings the credentials; nobody yet without them. */
export async function identify(
  credentials: Credentials,
  address: string,
  { authenticator, tickets }: Pick<EntranceDeps, 'authenticator' | 'tickets'>,
): Promise<Identified> {
  switch (credentials.kind) {
    case 'none':
      return { ok: true, identity: undefined };
    case 'malformed':
      return refuse(httpRefusalOf(BAD_TOKEN));
    case 'ticket': {
      const identity = tickets.redeem(credentials.ticket);
      return identity === undefined ? refuse(httpRefusalOf(BAD_TOKEN)) : { ok: true, identity };
    }
    case 'token': {
      const verdict = await authenticator.authenticate(credentials.token, address);
      return verdict.ok ? verdict : refuse(httpRefusalOf(verdict));
    }
  }
}

export const BAD_TOKEN = { ok: false, code: 'bad_token' } as const;

type PlaceDeps = Pick<EntranceDeps, 'places' | 'metrics'>;

/** A place among the connections of an address. */
export function placeOfAddress(address: string, deps: PlaceDeps): Taken {
  const place = deps.places.ofAddress(address);
  return place === undefined ? refuse(noPlace('address', deps)) : { ok: true, place };
}

/** A place among the connections of a user. */
export function placeOfUser(identity: Pick<Identity, 'sub'>, deps: PlaceDeps): Taken {
  const place = deps.places.ofUser(identity);
  return place === undefined ? refuse(noPlace('user', deps)) : { ok: true, place };
}

function noPlace(of: 'address' | 'user', { places, metrics }: PlaceDeps): HttpRefusal {
  metrics.rateLimited.inc({ kind: `connections_of_${of}` });
  const { message } = of === 'user' ? tooManyOfUser(places.limits) : tooManyOfAddress(places.limits);
  const limit = of === 'user' ? places.limits.perUser : places.limits.perAddress;
  return { statusCode: 429, error: 'rate_limited', message, retryAfterMs: FULL_RETRY_MS, limit };
}

const FULL_RETRY_MS = 5_000;

function forbidden(error: string, message: string): HttpRefusal {
  return { statusCode: 403, error, message };
}

export function refuse(refusal: HttpRefusal): Refused {
  return { ok: false, refusal };
}
