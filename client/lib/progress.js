// @ts-check
// Owns what a subscription has seen: the last position, and for messages without one the last ids. Positions
// only grow, so one comparison finds a duplicate, however long ago it came.

const REMEMBERED_IDS = 512;

export class Progress {
  /** @type {string | null} */
  #position;
  /** @type {Set<string>} */
  #ids = new Set();

  /** @param {string | undefined} since */
  constructor(since) {
    this.#position = since ?? null;
  }

  /** The last position, or the `since` that the subscription began with. */
  get position() {
    return this.#position;
  }

  /**
   * Notes a message; false if it was seen before.
   * @param {{ position?: string, messageId?: string }} message
   */
  isNew({ position, messageId }) {
    if (position !== undefined) return this.reach(position);
    if (messageId === undefined) return true;
    if (this.#ids.has(messageId)) return false;
    this.#ids.add(messageId);
    if (this.#ids.size > REMEMBERED_IDS) this.#ids.delete(/** @type {string} */ (this.#ids.values().next().value));
    return true;
  }

  /**
   * Moves on to `position`; false if that is not ahead.
   * @param {string} position
   */
  reach(position) {
    if (isPosition(this.#position) && position <= this.#position) return false;
    this.#position = position;
    return true;
  }
}

/**
 * A `since` may also be a messageId, which has no order.
 * @param {string | null} text
 * @returns {text is string}
 */
function isPosition(text) {
  return text !== null && /^[0-9a-f]{8}-[0-9a-f]{16}-[0-9a-f]{8}$/.test(text);
}
