// Owns the one failure of the embedded database that is meant to be read by a person: what is wrong, and
// what to do about it. Everything else that is thrown in this room is a bug.

/** `message` names the cause, `remedy` the next step of whoever runs the server. */
export class EmbeddedError extends Error {
  override readonly name = 'EmbeddedError';
  readonly remedy: string;

  constructor(message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.remedy = remedy;
  }
}
