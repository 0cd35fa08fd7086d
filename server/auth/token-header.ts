// Owns the reading of a token before its signature is checked: size, the three parts, and the header fields
// that choose a kind of key. Nothing read here is trusted beyond that choice. RFC 7515, RFC 7519.

import type { TokenFault } from './token-fault.ts';

export const MAX_TOKEN_BYTES = 16 * 1024;

/** Which configured key may verify the token. */
export type KeyKind = 'secret' | 'jwks';

export type TokenHeader = { readonly ok: true; readonly keyKind: KeyKind } | Refused;
type Refused = { readonly ok: false; readonly fault: TokenFault };

/** The asymmetric algorithms that a key set may be used with. */
export const JWKS_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];

const COMPACT = /^([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;
const TYPES: readonly unknown[] = [undefined, 'jwt', 'at+jwt', 'application/at+jwt'];

/** Reads the unverified header. `alg` only chooses between the kinds of keys; each kind pins its own algorithms. */
export function readTokenHeader(token: string): TokenHeader {
  if (token.length > MAX_TOKEN_BYTES) return refuse('too_large');
  const header = decodeHeader(token);
  if (header === undefined) return refuse('malformed');
  // No extension is understood here, so any critical one must be refused: RFC 7515, section 4.1.11.
  if (Object.hasOwn(header, 'crit') || Object.hasOwn(header, 'b64')) return refuse('critical_header');
  if (!TYPES.includes(lowerCase(header.typ))) return refuse('malformed');
  if (header.alg === 'HS256') return { ok: true, keyKind: 'secret' };
  if (typeof header.alg === 'string' && JWKS_ALGORITHMS.includes(header.alg)) return { ok: true, keyKind: 'jwks' };
  return refuse('algorithm');
}

function decodeHeader(token: string): Record<string, unknown> | undefined {
  const encoded = COMPACT.exec(token)?.[1];
  if (encoded === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function lowerCase(value: unknown): unknown {
  return typeof value === 'string' ? value.toLowerCase() : value;
}

function refuse(fault: TokenFault): Refused {
  return { ok: false, fault };
}
