// Owns the way from a token to an identity: header, signature by the configured key, claims, role, in this
// order. Refusals are values. How often an address may fail is address-limit.ts.

import { type AuthSettings, assertAuthSettings } from './auth-settings.ts';
import { findClaimsFault } from './claims-check.ts';
import type { Identity } from './identity.ts';
import { createKeySetSignature, type KeySetOptions } from './key-set-signature.ts';
import { makeIdentity } from './make-identity.ts';
import { roleOf } from './role-claim.ts';
import { createSecretSignature } from './secret-signature.ts';
import type { SignatureCheck } from './signature.ts';
import type { TokenFault } from './token-fault.ts';
import { type KeyKind, readTokenHeader } from './token-header.ts';

export type TokenVerdict =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly reason: TokenFault };

export interface TokenVerifier {
  /** Never rejects for a bad token. */
  verify(token: string): Promise<TokenVerdict>;
}

export type VerifierOptions = {
  readonly settings: AuthSettings;
  /** Milliseconds of Unix time. */
  readonly wallClock: () => number;
  /** Bounds of the key set's fetching; the defaults suit production. */
  readonly keySet?: Omit<KeySetOptions, 'url'> | undefined;
};

/** Throws if the settings contradict themselves. */
export function createTokenVerifier(options: VerifierOptions): TokenVerifier {
  const { settings, wallClock } = options;
  assertAuthSettings(settings);
  const checks = signatureChecks(options);
  return {
    async verify(token) {
      const header = readTokenHeader(token);
      if (!header.ok) return refuse(header.fault);
      const check = checks[header.keyKind];
      if (check === undefined) return refuse('algorithm');
      const signed = await check.check(token);
      if (!signed.ok) return refuse(signed.fault);
      const fault = findClaimsFault(signed.claims, settings, wallClock() / 1000);
      if (fault !== undefined) return refuse(fault);
      const role = roleOf(signed.claims, header.keyKind, settings);
      if (role === undefined) return refuse('role');
      return { ok: true, identity: makeIdentity({ ...role, claims: signed.claims }) };
    },
  };
}

function signatureChecks({ settings, keySet }: VerifierOptions): Record<KeyKind, SignatureCheck | undefined> {
  const url = settings.jwksUrl;
  return {
    secret: settings.jwtSecrets.length === 0 ? undefined : createSecretSignature(settings.jwtSecrets),
    jwks: url === undefined ? undefined : createKeySetSignature({ now: () => performance.now(), ...keySet, url }),
  };
}

function refuse(reason: TokenFault): TokenVerdict {
  return { ok: false, reason };
}
