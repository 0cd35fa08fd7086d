// Owns whether a socket is let in at all, before the WebSocket handshake: page, number of unauthenticated
// sockets, and a token in the header or the query. Cheap checks first; every refusal is plain HTTP.

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Authenticator, AuthVerdict } from '../auth/authenticator.ts';
import type { Identity } from '../auth/identity.ts';
import type { TicketBox } from '../auth/ticket-box.ts';
import type { Metrics } from '../stats/metrics.ts';
import { limitAddress } from './client-address.ts';
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
  readonly metrics: Pick<Metrics, 'refusedUpgrades'>;
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
  const place = deps.unauthenticated.admit(address);
  if (!place.ok) return refuse(tooManySockets(place.limit));
  // Whatever becomes of the upgrade, its place is free again when its socket is.
  request.raw.socket.once('close', place.release);
  const identity = await identify(credentials, address, deps);
  if (identity !== undefined && 'statusCode' in identity) {
    place.release();
    return refuse(identity);
  }
  return { ok: true, admitted: { address, identity, release: place.release } };
}

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
): Promise<Identity | HttpRefusal | undefined> {
  switch (credentials.kind) {
    case 'none':
      return undefined;
    case 'malformed':
      return httpRefusalOf({ ok: false, code: 'bad_token' });
    case 'ticket':
      return tickets.redeem(credentials.ticket) ?? httpRefusalOf({ ok: false, code: 'bad_token' });
    case 'token':
      return identityOrRefusal(await authenticator.authenticate(credentials.token, address));
  }
}

function identityOrRefusal(verdict: AuthVerdict): Identity | HttpRefusal {
  return verdict.ok ? verdict.identity : httpRefusalOf(verdict);
}

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

function refuse(refusal: HttpRefusal): Outcome {
  return { ok: false, refusal };
}
