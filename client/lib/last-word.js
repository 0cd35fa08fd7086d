// @ts-check
// Owns what an ending says about coming back: not at all, when the same again would end the same way and no other
// token is to be had, or later than usual.

import { reactionTo } from './close-rules.js';
import { RowcastError } from './rowcast-error.js';

/**
 * How a link ended; `failure` if it was the client that could not enter.
 * @typedef {import('./link.js').LinkEnd & { failure: RowcastError | undefined }} Ending
 */

/**
 * Why not to come back, or undefined.
 * @param {Ending} ending
 * @param {import('../rowcast.d.ts').TokenSource | undefined} token
 */
export function lastWordOn({ code, reason, failure }, token) {
  const canRenew = typeof token === 'function';
  if (failure !== undefined && !failure.retryable && !canRenew) return failure;
  const reaction = reactionTo(code);
  if (reaction === 'stop') return new RowcastError('gave_up', `The server closed with ${code}: ${reason}`);
  if (reaction !== 'new_token' || canRenew) return undefined;
  return new RowcastError('token_expired', `The server closed with ${code}: ${reason}; it wants another token`);
}

/**
 * Whether the server wants to be left alone for a while.
 * @param {Ending} ending
 */
export function isLimited({ code, failure }) {
  return reactionTo(code) === 'resume_later' || failure?.code === 'rate_limited';
}
