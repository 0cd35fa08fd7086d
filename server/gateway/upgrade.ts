// Owns whether a socket is let in at all, before the WebSocket handshake: page, number of unauthenticated
// sockets, and a token in the header or the query. Cheap checks first; every refusal is plain HTTP.

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Authenticator } from '../auth/authenticator.ts';
import type { Identity } from '../auth/identity.ts';
import type { TicketBox } from '../auth/ticket-box.ts';
import type { Metrics } from '../stats/metrics.ts';
import { limitAddress } from './client-address.ts';
import { type ConnectionPlaces, tooManyOfAddress, tooManyOfUser } from './connection-places.ts';
import { type Credentials, upgradeCredentials } from './credentials.ts';
import type { GatewaySettings } from './gateway-settings.ts';
import { httpRefusalOf } from './http-auth.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';
import { isHostTrusted, isOriginAllowed } from './origin-check.ts';
import type { Admission, UnauthenticatedSockets } from './unauthenticated-sockets.ts';

export type UpgradeDeps = {
  readonly settings: GatewaySettings;
  readonly authenticator: Authenticator;
  readonly tickets: TicketBox;
  readonly unauthenticated: UnauthenticatedSockets;
  readonly places: ConnectionPlaces;
  readonly metrics: Pick<Metrics, 'refusedUpgrades' | 'rateLimited'>;
  readonly isDraining: () => boolean;
};

/** What an admitted upgrade brings to its session. */
export type Admitted = {
  readonly address: string;
  /** Already known where the upgrade carried a credential. */
  readonly identity: Identity | undefined;
  /** Gives back the place among the unauthenticated sockets; more than once does nothing. */
  readonly release: () => void;
};

type Identified =
  | { readonly ok: true; readonly identity: Identity | undefined }
  | { readonly ok: false; readonly refusal: HttpRefusal };

type Outcome =
  | { readonly ok: true; readonly admitted: Admitted }
  | { readonly ok: false; readonly refusal: HttpRefusal };

/** Admits the upgrade, or answers with the refusal and returns undefined. */
export async function admitUpgrade(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: UpgradeDeps,
): Promise<Admitted | undefined> {
  const outcome = await judgeUpgrade(request, deps);
  if (outcome.ok) return outcome.admitted;
  deps.metrics.refusedUpgrades.inc({ reason: outcome.refusal.error });
  sendRefusal(reply, outcome.refusal);
  return undefined;
}

async function judgeUpgrade(request: FastifyRequest, deps: UpgradeDeps): Promise<Outcome> {
  if (!request.ws) return refuse(UPGRADE_REQUIRED);
  if (deps.isDraining()) return refuse(RESTARTING);
  const credentials = upgradeCredentials(request);
  const page = judgePage(request, credentials, deps.settings);
  if (page !== undefined) return refuse(page);
  const address = limitAddress(request);
  const ofAddress = deps.places.ofAddress(address);
  if (ofAddress === undefined) return refuse(noPlace('address', deps));
  const unauthenticated = deps.unauthenticated.admit(address);
  if (!unauthenticated.ok) {
    ofAddress();
    return refuse(tooManySockets(unauthenticated.limit));
  }
  const giveBack = (): void => {
    ofAddress();
    unauthenticated.release();
  };
  // Whatever becomes of the upgrade, its places are free again when its socket is.
  request.raw.socket.once('close', giveBack);
  const outcome = takePlace(await identify(credentials, address, deps), request, deps);
  if (outcome.ok)
    return { ok: true, admitted: { address, identity: outcome.identity, release: unauthenticated.release } };
  giveBack();
  return outcome;
}

function takePlace(who: Identified, { raw: { socket } }: FastifyRequest, deps: UpgradeDeps): Identified {
  if (!who.ok || who.identity === undefined) return who;
  const place = deps.places.ofUser(who.identity);
  if (place === undefined) return refuse(noPlace('user', deps));
  socket.once('close', place);
  // It may have gone while its token was looked at.
  if (socket.destroyed) place();
  return who;
}

function noPlace(of: 'address' | 'user', { places, metrics }: UpgradeDeps): HttpRefusal {
  metrics.rateLimited.inc({ kind: `connections_of_${of}` });
  const { message } = of === 'user' ? tooManyOfUser(places.limits) : tooManyOfAddress(places.limits);
  const limit = of === 'user' ? places.limits.perUser : places.limits.perAddress;
  return { statusCode: 429, error: 'rate_limited', message, retryAfterMs: FULL_RETRY_MS, limit };
}

const FULL_RETRY_MS = 5_000;

function judgePage(
  request: FastifyRequest,
  credentials: Credentials,
  settings: GatewaySettings,
): HttpRefusal | undefined {
  const { allowedOrigins, host: listenHost } = settings.http;
  const facts = { origin: request.headers.origin, host: request.host, allowedOrigins };
  if (!isOriginAllowed(facts))
    return forbidden('origin_not_allowed', 'This Origin may not connect: see ROWCAST_ALLOWED_ORIGINS');
  if (!settings.auth.allowAnon || credentials.kind !== 'none' || isHostTrusted(facts, listenHost)) return undefined;
  return forbidden('host_not_allowed', 'This Host is not known: name it in ROWCAST_ALLOWED_ORIGINS');
}

async function identify(
  credentials: Credentials,
  address: string,
  { authenticator, tickets }: UpgradeDeps,
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

const BAD_TOKEN = { ok: false, code: 'bad_token' } as const;

function tooManySockets(limit: Extract<Admission, { ok: false }>['limit']): HttpRefusal {
  const message = 'Too many sockets that have not authenticated';
  if (limit === 'total') return { statusCode: 503, error: 'unavailable', message, retryAfterMs: 5_000 };
  return { statusCode: 429, error: 'rate_limited', message, retryAfterMs: 5_000 };
}

const UPGRADE_REQUIRED: HttpRefusal = { statusCode: 426, error: 'upgrade_required', message: 'This is a WebSocket' };
const RESTARTING: HttpRefusal = { statusCode: 503, error: 'unavailable', message: 'Restarting', retryAfterMs: 1_000 };

function forbidden(error: string, message: string): HttpRefusal {
  return { statusCode: 403, error, message };
}

function refuse(refusal: HttpRefusal): Extract<Outcome, { ok: false }> {
  return { ok: false, refusal };
}
