// Owns authentication of plain HTTP requests: the token of the Authorization header, an identity or the
// refusal to answer with.

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Authenticator, AuthVerdict } from '../auth/authenticator.ts';
import type { Identity } from '../auth/identity.ts';
import { refusalOf } from './auth-frame.ts';
import { limitAddress } from './client-address.ts';
import { headerCredentials } from './credentials.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';

export type HttpIdentity =
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'known'; readonly identity: Identity }
  | { readonly kind: 'refused'; readonly refusal: HttpRefusal };

// A limit per user asks before the route does: a token is looked at, and a bad one counted, once a request.
const identified = new WeakMap<FastifyRequest, Promise<HttpIdentity>>();

/** Who made the request; `anonymous` without an Authorization header. Asked again it remembers. */
export function identifyRequest(request: FastifyRequest, authenticator: Authenticator): Promise<HttpIdentity> {
  const known = identified.get(request);
  if (known !== undefined) return known;
  const asked = identify(request, authenticator);
  identified.set(request, asked);
  return asked;
}

/** A hook that answers whoever has no token, or a bad one; `knownIdentity` gives the others to the handler. */
export function refuseUnknown(authenticator: Authenticator) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    const who = await identifyRequest(request, authenticator);
    if (who.kind === 'refused') return sendRefusal(reply, who.refusal);
    return who.kind === 'anonymous' ? sendRefusal(reply, AUTH_REQUIRED) : undefined;
  };
}

/** Who made a request that `refuseUnknown` let in. */
export async function knownIdentity(request: FastifyRequest, authenticator: Authenticator): Promise<Identity> {
  const who = await identifyRequest(request, authenticator);
  if (who.kind !== 'known') throw new Error('bug: a request was let in that nobody made');
  return who.identity;
}

async function identify(request: FastifyRequest, authenticator: Authenticator): Promise<HttpIdentity> {
  const credentials = headerCredentials(request);
  if (credentials.kind === 'none') return { kind: 'anonymous' };
  const verdict: AuthVerdict =
    credentials.kind === 'token'
      ? await authenticator.authenticate(credentials.token, limitAddress(request))
      : { ok: false, code: 'bad_token' };
  if (verdict.ok) return { kind: 'known', identity: verdict.identity };
  return { kind: 'refused', refusal: httpRefusalOf(verdict) };
}

const STATUS = { bad_token: 401, token_expired: 401, rate_limited: 429, unavailable: 503 } as const;

/** The HTTP answer to a refused token. */
export function httpRefusalOf({ code, retryAfterMs }: Extract<AuthVerdict, { ok: false }>): HttpRefusal {
  return { statusCode: STATUS[code], error: code, message: refusalOf(code).message, retryAfterMs };
}

export const AUTH_REQUIRED: HttpRefusal = { statusCode: 401, error: 'auth_required', message: 'A token is required' };
export const ADMINS_ONLY: HttpRefusal = { statusCode: 403, error: 'forbidden', message: 'For admins only' };
