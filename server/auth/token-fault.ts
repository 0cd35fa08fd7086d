// Owns the reasons for which a token is refused. They go to logs and metrics; a client is told only
// "Invalid token", and whether it expired or whether the keys could not be reached.

export const TOKEN_FAULTS = [
  'malformed',
  'too_large',
  'algorithm',
  'critical_header',
  'signature',
  'keys_unavailable',
  'time_claim',
  'expired',
  'not_yet_valid',
  'no_expiry',
  'issuer',
  'audience',
  'subject',
  'role',
  'too_deep',
] as const;

export type TokenFault = (typeof TOKEN_FAULTS)[number];
