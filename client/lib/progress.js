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

  /**
   * Moves on to where the server stands. What it has not sent yet, though it was seen, are duplicates to come; but
   * positions of another epoch say nothing about them.
   * @param {string} position
   */
  meet(position) {
    if (epochOf(position) === epochOf(this.#position)) this.reach(position);
    else this.startAt(position);
  }

  /**
   * Goes on from `position`, also where it lies behind: a server that does not know what was seen counts anew, and
   * what it sends from there on is no duplicate.
   * @param {string} position
   */
  startAt(position) {
    this.#position = position;
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

/** @param {string | null} position */
function epochOf(position) {
  return isPosition(position) ? position.slice(0, 8) : null;
}
