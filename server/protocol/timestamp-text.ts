// Owns how a timestamptz of SQL is printed for people and programs: RFC 3339 in UTC with `Z`, a fraction only if
// it is not zero, as everywhere in the protocol. Pure, and runs in a browser.

const PRINTED = /^(\d{4,6}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)\+00$/;

/** `2024-01-15T10:30:00.5Z` for `2024-01-15 10:30:00.5+00`; infinity and years BC stay as Postgres prints them. */
export function rfc3339(timestamp: string): string {
  return timestamp.replace(PRINTED, '$1T$2Z');
}

/** The same where there may be none: null stays null. */
export function rfc3339OrNull(timestamp: string | null): string | null {
  return timestamp === null ? null : rfc3339(timestamp);
}
