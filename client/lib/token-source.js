// @ts-check
// Owns the asking for a token: a text as it is, a callback each time anew.

import { RowcastError } from './rowcast-error.js';

/**
 * Rejects with `token_failed`, worth another try, if the callback fails.
 * @param {import('../rowcast.d.ts').TokenSource | undefined} source
 * @returns {Promise<string>}
 */
export async function currentToken(source) {
  if (typeof source !== 'function') return source ?? '';
  try {
    return await source();
  } catch (cause) {
    throw new RowcastError('token_failed', `The token callback failed: ${cause}`, { retryable: true, cause });
  }
}
