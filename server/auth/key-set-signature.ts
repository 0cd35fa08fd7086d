// Owns signatures by public keys from a JWKS URL: fetched with a time and a size limit, cached, refetched
// for an unknown key at most once per cool-down, and not asked again at once after a failure. The only
// importer of jose.

import { compactVerify, createRemoteJWKSet, customFetch, errors, type FetchImplementation } from 'jose';
import { claimsVerdict, type SignatureCheck, type SignatureVerdict } from './signature.ts';
import { JWKS_ALGORITHMS } from './token-header.ts';

export type KeySetOptions = {
  readonly url: string;
  /** Milliseconds for one fetch. Default 5 s. */
  readonly timeoutMs?: number | undefined;
  /** Milliseconds between two fetches for unknown keys, and after a failed one. Defaults 30 s and 5 s. */
  readonly cooldownMs?: number | undefined;
  readonly failureCooldownMs?: number | undefined;
  /** Bytes of a key set. Default 256 KiB. */
  readonly maxBytes?: number | undefined;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
};

/** Never rejects: keys that cannot be fetched are the fault `keys_unavailable`. */
export function createKeySetSignature(options: KeySetOptions): SignatureCheck {
  const keys = createRemoteJWKSet(new URL(options.url), {
    timeoutDuration: options.timeoutMs ?? 5_000,
    cooldownDuration: options.cooldownMs ?? 30_000,
    [customFetch]: boundedFetch(options),
  });
  return {
    check: async (token) => {
      try {
        const { payload } = await compactVerify(token, keys, { algorithms: JWKS_ALGORITHMS });
        return claimsVerdict(JSON.parse(new TextDecoder().decode(payload)));
      } catch (error) {
        return { ok: false, fault: faultOf(error) };
      }
    },
  };
}

function faultOf(error: unknown): Extract<SignatureVerdict, { ok: false }>['fault'] {
  if (error instanceof SyntaxError) return 'malformed';
  if (error instanceof KeySetUnavailable || error instanceof errors.JWKSTimeout) return 'keys_unavailable';
  if (error instanceof errors.JWKSInvalid) return 'keys_unavailable';
  // A key set with two keys for one token, or none: the token cannot be attributed to a key.
  return 'signature';
}

class KeySetUnavailable extends Error {
  override readonly name = 'KeySetUnavailable';
}

function boundedFetch(options: KeySetOptions): FetchImplementation {
  const { now, failureCooldownMs = 5_000, maxBytes = 256 * 1024 } = options;
  let failedAt = Number.NEGATIVE_INFINITY;
  return async (url, init) => {
    if (now() - failedAt < failureCooldownMs) throw new KeySetUnavailable('the last fetch failed a moment ago');
    try {
      const response = await fetch(url, init);
      if (response.status !== 200) {
        await response.body?.cancel();
        throw new KeySetUnavailable(`status ${response.status}`);
      }
      return Response.json(JSON.parse(await readAtMost(response, maxBytes)));
    } catch (error) {
      failedAt = now();
      throw error instanceof KeySetUnavailable ? error : new KeySetUnavailable('fetch failed', { cause: error });
    }
  };
}

async function readAtMost(response: Response, maxBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > maxBytes) throw new KeySetUnavailable(`more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
