// Owns the quoting of names and texts in SQL that is built from them. Literals mean the same whatever
// standard_conforming_strings is: a function that somebody's policy calls may have set it.

/** `"name"`, always quoted, as it stands. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** `'text'`, or `E'text'` where it has a backslash. Throws on a zero byte, which no text of Postgres can hold. */
export function quoteLiteral(text: string): string {
  if (text.includes('\0')) throw new RangeError('a text of Postgres holds no zero byte');
  const quoted = `'${text.replaceAll("'", "''")}'`;
  return text.includes('\\') ? ` E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}
