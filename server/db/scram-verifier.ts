// Owns the form in which PostgreSQL keeps a password: a SCRAM-SHA-256 verifier. Handing that over instead of
// the password keeps the password out of statement logs, whatever is logged.
// RFC 5803, RFC 7677; https://www.postgresql.org/docs/18/catalog-pg-authid.html

import { createHash, createHmac, pbkdf2, randomBytes } from 'node:crypto';
import { promisify } from 'node:util';

/** PostgreSQL's own default (`scram_iterations`); the passwords here are random, more would not help. */
const ITERATIONS = 4_096;
const SALT_BYTES = 16;
const derive = promisify(pbkdf2);

/** The verifier of `password`, which must be ASCII (SASLprep is left out); another one at each call. */
export async function scramVerifier(password: string, salt: Buffer = randomBytes(SALT_BYTES)): Promise<string> {
  const salted = await derive(password, salt, ITERATIONS, 32, 'sha256');
  const storedKey = createHash('sha256').update(hmac(salted, 'Client Key')).digest('base64');
  const serverKey = hmac(salted, 'Server Key').toString('base64');
  return `SCRAM-SHA-256$${ITERATIONS}:${salt.toString('base64')}$${storedKey}:${serverKey}`;
}

function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}
