// Owns the making of identities and of their class keys: role and claims as canonical text, hashed, so that
// a key is short however long the claims are.

import { createHash } from 'node:crypto';
import type { Claims, Identity } from './identity.ts';

export type IdentityParts = {
  readonly role: string;
  readonly isAdmin: boolean;
  /** Verified, of bounded depth. */
  readonly claims: Claims;
};

/**
 * The identity of verified claims. Its claims always carry the resolved `role`, as PostgREST sets it,
 * whichever claim named it.
 */
export function makeIdentity({ role, isAdmin, claims }: IdentityParts): Identity {
  const withRole: Claims = { ...claims, role };
  const { sub, exp } = claims;
  return {
    role,
    isAdmin,
    sub: typeof sub === 'string' ? sub : null,
    claims: withRole,
    expiresAt: typeof exp === 'number' ? Math.floor(exp) : null,
    classKey: classKeyOf(role, withRole),
  };
}

/** The identity of a connection without a token, where that is allowed: its only claim is the role. */
export function anonymousIdentity(role = 'anon'): Identity {
  return makeIdentity({ role, isAdmin: false, claims: {} });
}

function classKeyOf(role: string, claims: Claims): string {
  const digest = createHash('sha256').update(canonicalText(claims)).digest('base64url');
  return `${role}:${digest}`;
}

// Keys sorted, so that the order in which an issuer writes claims does not split a class.
function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalText).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, inner]) => `${JSON.stringify(key)}:${canonicalText(inner)}`).join(',')}}`;
}
