// Owns signatures by shared secret: HS256 alone, pinned, whatever the token's header says. The only
// importer of jsonwebtoken beside mint-token.ts.

import jsonwebtoken from 'jsonwebtoken';
import { claimsVerdict, type SignatureCheck, type SignatureVerdict } from './signature.ts';

// The time claims are checked by claims-check.ts, with an injected clock and for both kinds of keys alike.
const VERIFY_OPTIONS: jsonwebtoken.VerifyOptions = {
  algorithms: ['HS256'],
  ignoreExpiration: true,
  ignoreNotBefore: true,
};

/** Accepts a token signed by any of `secrets`; with none, no token. */
export function createSecretSignature(secrets: readonly string[]): SignatureCheck {
  return { check: async (token) => checkWith(token, secrets) };
}

function checkWith(token: string, secrets: readonly string[]): SignatureVerdict {
  for (const secret of secrets) {
    try {
      return claimsVerdict(jsonwebtoken.verify(token, secret, VERIFY_OPTIONS));
    } catch {
      // Not this secret; the next one may be it.
    }
  }
  return { ok: false, fault: secrets.length === 0 ? 'algorithm' : 'signature' };
}
