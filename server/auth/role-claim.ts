// Owns the way from claims to a role: an allow-list by exact text, never the token alone. `none` cannot be
// in the list, since SET ROLE none returns to the login itself.

import type { AuthSettings } from './auth-settings.ts';
import type { KeyKind } from './token-header.ts';

export type RoleOfToken = { readonly role: string; readonly isAdmin: boolean };

/** The role of verified `claims`, or undefined if it is missing, not listed, or not to be had with such a key. */
export function roleOf(
  claims: Readonly<Record<string, unknown>>,
  keyKind: KeyKind,
  settings: AuthSettings,
): RoleOfToken | undefined {
  const named = Object.hasOwn(claims, settings.jwtRoleClaim) ? claims[settings.jwtRoleClaim] : settings.defaultRole;
  if (typeof named !== 'string' || named === 'none') return undefined;
  if (settings.adminRoles.includes(named))
    return mayBeAdmin(keyKind, settings) ? { role: named, isAdmin: true } : undefined;
  return settings.roles.includes(named) ? { role: named, isAdmin: false } : undefined;
}

// A public key set is often shared by many applications: without issuer and audience any of their tokens
// that says `service_role` would rule here.
function mayBeAdmin(keyKind: KeyKind, { jwtIssuer, jwtAudience }: AuthSettings): boolean {
  return keyKind === 'secret' || (jwtIssuer !== undefined && jwtAudience !== undefined);
}
