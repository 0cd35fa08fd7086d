// Owns the check of a sender's signature by Standard Webhooks: an HMAC over id, time and the exact bytes of the body,
// not older or newer than five minutes, so that what was overheard cannot be sent again for ever.

import { timingSafeEqual } from 'node:crypto';
import { signatureOf } from './signature.ts';

/** `whsec_` and 24 to 64 bytes in base64. */
export const SECRET_PATTERN = '^whsec_[A-Za-z0-9+/]{32,86}={0,2}$';

export type SignedRequest = {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: Uint8Array;
  /** Milliseconds of Unix time at which it came. */
  readonly receivedAtMs: number;
};

const TOLERANCE_MS = 300_000;
const SECONDS = /^\d{1,12}$/;

/** What is wrong with the signature, for the sender's log; undefined if it holds. */
export function findSignatureFault(secret: string, { headers, body, receivedAtMs }: SignedRequest): string | undefined {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures } = headers;
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signatures !== 'string')
    return 'webhook-id, webhook-timestamp and webhook-signature are required';
  if (!SECONDS.test(timestamp)) return 'webhook-timestamp is no Unix time in seconds';
  const ageMs = receivedAtMs - Number(timestamp) * 1000;
  if (Math.abs(ageMs) > TOLERANCE_MS) return 'webhook-timestamp is more than five minutes away from now';
  const expected = signatureOf(secret, id, timestamp, body);
  const isSigned = signatures.split(' ').some((signature) => isEqual(signature, expected));
  return isSigned ? undefined : 'webhook-signature is not that of this body';
}

function isEqual(signature: string, expected: Buffer): boolean {
  if (!signature.startsWith('v1,')) return false;
  const given = Buffer.from(signature.slice(3), 'base64');
  return given.length === expected.length && timingSafeEqual(given, expected);
}
