// @ts-check
// Owns who the server says that this client is, and whether that is somebody else than before.

/** @typedef {{ userId: string | null, role: string }} Identity */

export class KnownIdentity {
  /** Null while not authenticated. @type {Identity | null} */
  current = null;
  /** @type {Identity | null} */
  #last = null;

  /**
   * Takes on `identity`; true if another one was known before, on this connection or on an earlier one.
   * @param {Identity} identity
   */
  isAnother(identity) {
    const last = this.#last;
    this.current = this.#last = identity;
    return last !== null && (last.userId !== identity.userId || last.role !== identity.role);
  }

  lost() {
    this.current = null;
  }
}
