// @ts-check
// Owns the one class of errors that the client gives out.

export class RowcastError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   * @param {{ retryable?: boolean, cause?: unknown }} [options]
   */
  constructor(code, message, { retryable = false, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'RowcastError';
    this.code = code;
    this.retryable = retryable;
  }
}
