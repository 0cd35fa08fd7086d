// Owns the signature of a request by Standard Webhooks: HMAC-SHA256 over id, time and the exact bytes of the body,
// by each secret that is valid now.

import { createHmac } from 'node:crypto';

const PREFIX = 'whsec_';

/** The value of `webhook-signature`. */
export function sign(secrets: readonly string[], id: string, timestampSeconds: number, body: Buffer): string {
  return secrets.map((secret) => `v1,${signatureOf(secret, `${id}.${timestampSeconds}.`, body)}`).join(' ');
}

function signatureOf(secret: string, head: string, body: Buffer): string {
  const key = Buffer.from(secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret, 'base64');
  return createHmac('sha256', key).update(head).update(body).digest('base64');
}
