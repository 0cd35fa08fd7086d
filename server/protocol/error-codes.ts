// Owns the stable codes of `error` frames, their printed messages and whether a retry can help.
// Close codes live in close-codes.ts.

export const ERROR_CODES = [
  'bad_frame',
  'bad_token',
  'auth_required',
  'token_expired',
  'identity_changed',
  'channel_unavailable',
  'bad_name',
  'bad_filter',
  'bad_since',
  'wildcard_not_supported',
  'too_many_subscriptions',
  'not_subscribed',
  'publish_denied',
  'reserved_name',
  'payload_too_large',
  'id_reused',
  'rate_limited',
  'snapshot_unavailable',
  'unavailable',
  'internal',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

const RETRYABLE: ReadonlySet<ErrorCode> = new Set(['rate_limited', 'unavailable', 'internal']);

/** The two texts that the base API prints; clients may compare them. */
export const INVALID_TOKEN = 'Invalid token';
export const CHANNEL_UNAVAILABLE = 'Channel not found or not accessible';

/** Whether the same request may succeed later without being changed. */
export function isRetryable(code: ErrorCode): boolean {
  return RETRYABLE.has(code);
}

/** A refusal as a value: what a decoder, a policy or a limit answers instead of throwing. */
export type Refusal = {
  readonly code: ErrorCode;
  readonly message: string;
  /** Only ever shown to admins: what is missing and the statement that mends it. */
  readonly detail?: string | undefined;
};
