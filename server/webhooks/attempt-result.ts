// Owns what can come of one attempt.

export type AttemptResult = {
  readonly kind:
    | 'delivered'
    /** Answered, and not with 2xx. */
    | 'failed'
    /** 410: the receiver wants nothing more. */
    | 'gone'
    | 'timed_out'
    /** No connection, or one that broke. */
    | 'unreachable'
    /** Its address may not be reached. */
    | 'refused'
    /** Ended by us before there was an answer: no fault of the receiver. */
    | 'released';
  readonly status: number | null;
  /** Why it failed, for people. */
  readonly error: string | null;
  /** The first bytes of the answer, as text. */
  readonly responseHead: string | null;
  readonly durationMs: number;
  /** What the receiver asked for. */
  readonly retryAfterMs: number | undefined;
};
