// Owns the shape of checking a signature: a token in, its verified claims or a fault out. Claims are not
// looked at here; claims-check.ts does that for both kinds of keys alike.

import type { TokenFault } from './token-fault.ts';

export type SignatureVerdict =
  | { readonly ok: true; readonly claims: Record<string, unknown> }
  | { readonly ok: false; readonly fault: TokenFault };

export interface SignatureCheck {
  check(token: string): Promise<SignatureVerdict>;
}

/** The claims if they are one JSON object, else `malformed`. */
export function claimsVerdict(value: unknown): SignatureVerdict {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { ok: false, fault: 'malformed' };
  return { ok: true, claims: value as Record<string, unknown> };
}
