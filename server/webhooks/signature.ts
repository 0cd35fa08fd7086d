// Owns the signature of a request by Standard Webhooks: HMAC-SHA256 over id, time and the exact bytes of the body,
// by each secret that is valid now.

import { createHmac } from 'node:crypto';

const PREFIX = 'whsec_';

/** The value of `webhook-signature`. */
export function sign(secrets: readonly string[], id: string, timestampSeconds: number, body: Uint8Array): string {
  return secrets.map((secret) => `v1,${signatureOf(secret, id, timestampSeconds, body).toString('base64')}`).join(' ');
}

/** The bytes of one signature; `timestamp` as the header has it. */
export function signatureOf(secret: string, id: string, timestamp: number | string, body: Uint8Array): Buffer {
  const key = Buffer.from(secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret, 'base64');
  return createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest();
}
