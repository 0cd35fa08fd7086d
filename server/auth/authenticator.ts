// Owns authentication as the gateway sees it: a token and the address it came from, an identity or a refusal
// with what the client may know. Counts failures per address; logs the reason, never the token.

import type { Logger } from '../lib/logger.ts';
import type { AddressLimit } from './address-limit.ts';
import type { Identity } from './identity.ts';
import type { TokenFault } from './token-fault.ts';
import type { TokenVerifier } from './verify-token.ts';

/** What a client learns about its refused token. */
export type AuthRefusalCode = 'bad_token' | 'token_expired' | 'rate_limited' | 'unavailable';

export type AuthVerdict =
  | { readonly ok: true; readonly identity: Identity }
  | { readonly ok: false; readonly code: AuthRefusalCode; readonly retryAfterMs?: number | undefined };

export interface Authenticator {
  /** Never rejects. */
  authenticate(token: string, address: string): Promise<AuthVerdict>;
}

export type AuthenticatorDeps = {
  readonly verifier: TokenVerifier;
  /** Undefined: rate limits are off. */
  readonly failedTokens?: AddressLimit | undefined;
  readonly log: Logger;
  /** Called once for every refusal, for the metrics. */
  readonly onRefusal?: ((reason: TokenFault | 'rate_limited') => void) | undefined;
};

export function createAuthenticator({ verifier, failedTokens, log, onRefusal }: AuthenticatorDeps): Authenticator {
  return {
    async authenticate(token, address) {
      const retryAfterMs = failedTokens?.blockedMs(address) ?? 0;
      if (retryAfterMs > 0) {
        onRefusal?.('rate_limited');
        return { ok: false, code: 'rate_limited', retryAfterMs };
      }
      const verdict = await verifier.verify(token);
      if (verdict.ok) return verdict;
      log.info({ address, reason: verdict.reason }, 'token refused');
      onRefusal?.(verdict.reason);
      // Keys that cannot be fetched are no fault of the one who shows the token.
      if (verdict.reason !== 'keys_unavailable') failedTokens?.note(address);
      return { ok: false, code: codeOf(verdict.reason) };
    },
  };
}

function codeOf(reason: TokenFault): AuthRefusalCode {
  if (reason === 'expired') return 'token_expired';
  return reason === 'keys_unavailable' ? 'unavailable' : 'bad_token';
}
