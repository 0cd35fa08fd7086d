// Owns whether a socket is let in at all, before the WebSocket handshake: page, number of unauthenticated
// sockets, and a token in the header or the query. Cheap checks first; every refusal is plain HTTP.

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Identity } from '../auth/identity.ts';
import { limitAddress } from './client-address.ts';
import { upgradeCredentials } from './credentials.ts';
import {
  type EntranceDeps,
  type Identified,
  identify,
  judgePage,
  placeOfAddress,
  placeOfUser,
  RESTARTING,
  type Refused,
  refuse,
} from './entrance.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';
import type { Admission, UnauthenticatedSockets } from './unauthenticated-sockets.ts';

export type UpgradeDeps = EntranceDeps & { readonly unauthenticated: UnauthenticatedSockets };

/** What an admitted upgrade brings to its session. */
export type Admitted = {
  readonly address: string;
  /** Already known where the upgrade carried a credential. */
  readonly identity: Identity | undefined;
  /** Gives back the place among the unauthenticated sockets; more than once does nothing. */
  readonly release: () => void;
};

type Outcome = { readonly ok: true; readonly admitted: Admitted } | Refused;

/** Lets the upgrade in, or answers it and returns undefined. */
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
  const page = judgePage(request, credentials.kind === 'none', deps.settings);
  if (page !== undefined) return refuse(page);
  const address = limitAddress(request);
  const ofAddress = placeOfAddress(address, deps);
  if (!ofAddress.ok) return ofAddress;
  const unauthenticated = deps.unauthenticated.admit(address);
  if (!unauthenticated.ok) {
    ofAddress.place();
    return refuse(tooManySockets(unauthenticated.limit));
  }
  const giveBack = (): void => {
    ofAddress.place();
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
  const taken = placeOfUser(who.identity, deps);
  if (!taken.ok) return taken;
  socket.once('close', taken.place);
  // It may have gone while its token was looked at.
  if (socket.destroyed) taken.place();
  return who;
}

function tooManySockets(limit: Extract<Admission, { ok: false }>['limit']): HttpRefusal {
  const message = 'Too many sockets that have not authenticated';
  if (limit === 'total') return { statusCode: 503, error: 'unavailable', message, retryAfterMs: 5_000 };
  return { statusCode: 429, error: 'rate_limited', message, retryAfterMs: 5_000 };
}

const UPGRADE_REQUIRED: HttpRefusal = { statusCode: 426, error: 'upgrade_required', message: 'This is a WebSocket' };
