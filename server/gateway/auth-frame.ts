// Owns the `auth` frame: the first one that succeeds lets a session in, each later one renews its token under
// the same `sub`. So many tries before authentication, then the socket is closed.

import type { Authenticator, AuthRefusalCode } from '../auth/authenticator.ts';
import type { Identity } from '../auth/identity.ts';
import type { Logger } from '../lib/logger.ts';
import type { AuthFrame } from '../protocol/client-frame.ts';
import { INVALID_TOKEN, type Refusal } from '../protocol/error-codes.ts';
import type { Metrics } from '../stats/metrics.ts';
import { type ConnectionPlaces, tooManyOfUser } from './connection-places.ts';
import { type Judged, judgeAgain, type RenewalDeps, takeOn } from './renewal.ts';
import type { Session } from './session.ts';

export type AuthFrameDeps = RenewalDeps & {
  readonly log: Logger;
  readonly authenticator: Authenticator;
  readonly places: ConnectionPlaces;
  readonly metrics: Pick<Metrics, 'rateLimited'>;
  readonly allowAnon: boolean;
  /** The identity of a client without a token. */
  readonly anonymous: Identity;
};

/** Handles one frame; rejects only for bugs. */
export async function handleAuth(frame: AuthFrame, session: Session, deps: AuthFrameDeps): Promise<void> {
  const verdict = await deps.authenticator.authenticate(frame.token, session.address);
  if (!session.isOpen) return;
  const isFirst = session.state.kind === 'unauthenticated';
  if (!verdict.ok) {
    session.refuse(refusalOf(verdict.code), { ref: frame.ref });
    if (isFirst) session.noteFailedTry();
  } else if (isFirst) {
    if (takePlace(verdict.identity, frame, session, deps)) session.settle(verdict.identity, false, frame.ref);
  } else {
    await renew(verdict.identity, frame, session, deps);
  }
}

async function renew(identity: Identity, frame: AuthFrame, session: Session, deps: AuthFrameDeps): Promise<void> {
  if (!mayTakeOver(identity, session)) {
    const message = 'A renewed token must have the same sub; open another connection for another user';
    return session.refuse({ code: 'identity_changed', message }, { ref: frame.ref });
  }
  const judged = await judgeOrUndefined(identity, session, deps);
  if (!session.isOpen) return;
  if (judged === undefined) return session.refuse(UNDECIDED, { ref: frame.ref });
  // Until now it was nobody's; otherwise it is the same user's as before.
  if (isAnonymous(session) && !takePlace(identity, frame, session, deps)) return;
  session.renew(identity, frame.ref);
  takeOn(identity, judged, session, deps);
}

const UNDECIDED: Refusal = { code: 'unavailable', message: 'The subscriptions cannot be judged at the moment' };

async function judgeOrUndefined(
  identity: Identity,
  session: Session,
  deps: AuthFrameDeps,
): Promise<readonly Judged[] | undefined> {
  try {
    return await judgeAgain(identity, session, deps);
  } catch (err) {
    deps.log.warn({ err, connectionId: session.id }, 'renewal could not be judged, the old token stays');
    return undefined;
  }
}

// A client without a token becomes whoever its first token says.
function mayTakeOver(identity: Identity, session: Session): boolean {
  return isAnonymous(session) || session.connection.identity.sub === identity.sub;
}

function isAnonymous({ state }: Session): boolean {
  return state.kind === 'authenticated' && state.isAnonymous;
}

/** False where the user has as many sockets as it may: then this one has been closed. */
function takePlace(
  identity: Identity,
  { ref }: AuthFrame,
  session: Session,
  { places, metrics }: AuthFrameDeps,
): boolean {
  const place = places.ofUser(identity);
  if (place !== undefined) session.hold(place);
  if (place !== undefined) return true;
  metrics.rateLimited.inc({ kind: 'connections_of_user' });
  session.refuse(tooManyOfUser(places.limits), { ref });
  session.close('tooManyFrames');
  return false;
}

/** What a client is told about a refused token; the printed text wherever the token itself is at fault. */
export function refusalOf(code: AuthRefusalCode): Refusal {
  if (code === 'rate_limited') return { code, message: 'Too many failed tokens from this address' };
  if (code === 'unavailable') return { code, message: 'The keys that verify tokens cannot be reached' };
  return { code, message: INVALID_TOKEN };
}
