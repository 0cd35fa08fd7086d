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
  const claimed = claimAt(claims, settings.roleClaim);
  const named = claimed === undefined ? settings.defaultRole : claimed;
  if (typeof named !== 'string' || named === 'none') return undefined;
  if (settings.adminRoles.includes(named))
    return mayBeAdmin(keyKind, settings) ? { role: named, isAdmin: true } : undefined;
  return settings.roles.includes(named) ? { role: named, isAdmin: false } : undefined;
}

// A public key set is often shared by many applications: without issuer and audience any of their tokens
// that says `service_role` would rule here.
function mayBeAdmin(keyKind: KeyKind, { issuer, audience }: AuthSettings): boolean {
  return keyKind === 'secret' || (issuer !== undefined && audience !== undefined);
}

// A claim of exactly this name wins over a path: names like https://example.com/role contain dots as well.
function claimAt(claims: Readonly<Record<string, unknown>>, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  return path.split('.').reduce<unknown>((value, name) => {
    const isObject = typeof value === 'object' && value !== null && Object.hasOwn(value, name);
    return isObject ? (value as Record<string, unknown>)[name] : undefined;
  }, claims);
}
