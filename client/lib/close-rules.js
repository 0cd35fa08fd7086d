// @ts-check
// Owns what the client does about each close code (docs/protocol.md): come back, come back later, get
// another token first, or stop, since the same again would end the same way.

/** @typedef {'resume' | 'resume_later' | 'new_token' | 'stop'} Reaction */

/** @type {Readonly<Record<number, Reaction>>} */
const REACTIONS = {
  4400: 'stop',
  4401: 'new_token',
  4403: 'new_token',
  4408: 'resume',
  4413: 'stop',
  4429: 'resume_later',
  4490: 'resume',
  1002: 'stop',
  1007: 'stop',
  1009: 'stop',
  1012: 'resume',
};

/**
 * Codes that are not listed, 1006 of a lost connection among them, mean: come back.
 * @param {number} code
 * @returns {Reaction}
 */
export function reactionTo(code) {
  return REACTIONS[code] ?? 'resume';
}
