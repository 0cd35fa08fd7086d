// Owns the checks on verified claims that do not concern the role: time, issuer, audience, subject, and a
// shape that PostgreSQL's jsonb can hold. One file for both kinds of keys. RFC 7519, section 4.1.

import type { AuthSettings } from './auth-settings.ts';
import type { TokenFault } from './token-fault.ts';

const MAX_DEPTH = 16;
// What a JavaScript Date can hold, in seconds.
const MAX_UNIX_SECONDS = 8_640_000_000_000;

type RawClaims = Readonly<Record<string, unknown>>;

/** The first fault of `claims`, or undefined. `nowSeconds` is Unix time. */
export function findClaimsFault(claims: RawClaims, settings: AuthSettings, nowSeconds: number): TokenFault | undefined {
  return (
    findTimeFault(claims, settings, nowSeconds) ??
    findPartyFault(claims, settings) ??
    (isHoldable(claims) ? undefined : 'too_deep')
  );
}

function findTimeFault(claims: RawClaims, settings: AuthSettings, nowSeconds: number): TokenFault | undefined {
  const { exp, nbf, iat } = claims;
  for (const time of [exp, nbf, iat]) if (time !== undefined && !isUnixTime(time)) return 'time_claim';
  if (exp === undefined && !settings.allowNoExp) return 'no_expiry';
  if (exp !== undefined && (exp as number) <= nowSeconds) return 'expired';
  if (nbf !== undefined && (nbf as number) > nowSeconds + settings.clockToleranceMs / 1000) return 'not_yet_valid';
  return undefined;
}

function findPartyFault(claims: RawClaims, { issuer, audience }: AuthSettings): TokenFault | undefined {
  const { sub, iss, aud } = claims;
  if (sub !== undefined && sub !== null && (typeof sub !== 'string' || sub === '')) return 'subject';
  if (issuer !== undefined && iss !== issuer) return 'issuer';
  if (audience === undefined || aud === audience) return undefined;
  return Array.isArray(aud) && aud.includes(audience) ? undefined : 'audience';
}

function isUnixTime(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && Math.abs(value) <= MAX_UNIX_SECONDS;
}

/**
 * Whether jsonb can hold a JSON value of at most `depth` levels. Policies read the claims as jsonb, which holds
 * neither U+0000 nor half a surrogate pair: better refused here than as an error of every policy.
 */
export function isHoldable(value: unknown, depth = MAX_DEPTH): boolean {
  if (typeof value === 'string') return value.isWellFormed() && !value.includes('\0');
  if (typeof value !== 'object' || value === null) return true;
  if (depth === 0) return false;
  return Object.entries(value).every(([key, inner]) => isHoldable(key, depth) && isHoldable(inner, depth - 1));
}
