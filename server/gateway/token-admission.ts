// Owns who may open the stream of a webhook source: whoever has its token. The token is the only right that is asked for;
// so the identity under which the stream is judged sees the channel of its source whatever policies say, as an admin does.

import type { FastifyRequest } from 'fastify';
import type { AddressLimit } from '../auth/address-limit.ts';
import type { Identity } from '../auth/identity.ts';
import { makeIdentity } from '../auth/make-identity.ts';
import type { TokenSource } from '../webhooks/source-tokens.ts';
import { limitAddress } from './client-address.ts';
import { upgradeCredentials } from './credentials.ts';
import {
  BAD_TOKEN,
  type EntranceDeps,
  judgePage,
  placeOfAddress,
  placeOfUser,
  RESTARTING,
  type Refused,
  refuse,
} from './entrance.ts';
import type { Place } from './held-places.ts';
import { AUTH_REQUIRED, httpRefusalOf } from './http-auth.ts';

export type TokenAdmissionDeps = Pick<EntranceDeps, 'settings' | 'places' | 'metrics' | 'isDraining'> & {
  readonly sourceTokens: { find(token: string): Promise<TokenSource | undefined> };
  /** Tokens that opened nothing, by address; undefined where rate limits are off. */
  readonly failedTokens: AddressLimit | undefined;
  /** Whether what a database call rejected with is a failure that passes. */
  readonly isPassing: (failure: unknown) => boolean;
};

export type AdmittedToken = {
  readonly ok: true;
  readonly source: TokenSource;
  readonly identity: Identity;
  readonly address: string;
};

/** Asks who brings the token of the request; `hold` is given the places that it takes. */
export async function admitToken(
  request: FastifyRequest,
  hold: (place: Place) => void,
  deps: TokenAdmissionDeps,
): Promise<AdmittedToken | Refused> {
  if (deps.isDraining()) return refuse(RESTARTING);
  const page = judgePage(request, false, deps.settings);
  if (page !== undefined) return refuse(page);
  const address = limitAddress(request);
  const ofAddress = placeOfAddress(address, deps);
  if (!ofAddress.ok) return ofAddress;
  hold(ofAddress.place);
  const found = await findSource(request, address, deps);
  if (!found.ok) return found;
  const identity = identityOf(found.source);
  const ofSource = placeOfUser(identity, deps);
  if (!ofSource.ok) return ofSource;
  hold(ofSource.place);
  return { ...found, identity, address };
}

type Found = { readonly ok: true; readonly source: TokenSource } | Refused;

async function findSource(request: FastifyRequest, address: string, deps: TokenAdmissionDeps): Promise<Found> {
  const { failedTokens } = deps;
  const credentials = upgradeCredentials(request);
  if (credentials.kind === 'none') return refuse(AUTH_REQUIRED);
  const retryAfterMs = failedTokens?.blockedMs(address) ?? 0;
  if (retryAfterMs > 0) return refuse(httpRefusalOf({ ok: false, code: 'rate_limited', retryAfterMs }));
  const source = credentials.kind === 'token' ? await find(credentials.token, deps) : undefined;
  if (source === 'unavailable') return refuse(DATABASE_AWAY);
  if (source !== undefined) return { ok: true, source };
  failedTokens?.note(address);
  return refuse(httpRefusalOf(BAD_TOKEN));
}

async function find(
  token: string,
  { sourceTokens, isPassing }: TokenAdmissionDeps,
): Promise<TokenSource | undefined | 'unavailable'> {
  try {
    return await sourceTokens.find(token);
  } catch (error) {
    if (!isPassing(error)) throw error;
    return 'unavailable';
  }
}

const DATABASE_AWAY = { statusCode: 503, error: 'unavailable', message: 'The database cannot be asked at the moment' };

// Its class key is none that a token of a user can have: they hold a colon.
function identityOf({ sourceId }: TokenSource): Identity {
  const sub = `source:${sourceId}`;
  return { ...makeIdentity({ role: 'source', isAdmin: true, claims: { sub } }), classKey: `source ${sourceId}` };
}
