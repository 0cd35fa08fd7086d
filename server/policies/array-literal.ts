// Owns the text form of a one-dimensional text[] (https://www.postgresql.org/docs/18/arrays.html#ARRAYS-IO):
// the images of rows that do not come from the stream.

const SPECIALS = /["\\]/g;

/** `{"a",NULL,"b\"c"}`: every text quoted, so that none is read as NULL. */
export function textArrayLiteral(texts: readonly (string | null)[]): string {
  return `{${texts.map((text) => (text === null ? 'NULL' : `"${text.replace(SPECIALS, '\\$&')}"`)).join(',')}}`;
}
