// Owns how instants of the server's own are printed: RFC 3339 in UTC with `Z`, a fraction only if it is not
// zero, as everywhere in the protocol.

/** `2024-01-15T10:30:00Z` for milliseconds of Unix time. */
export function formatInstant(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/\.000Z$/, 'Z');
}
