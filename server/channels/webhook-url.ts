// Owns which URLs a webhook may have, as far as the text tells. Where the host leads is judged when it is called.

export const MAX_URL_LENGTH = 2_048;

const HTTP_URL = /^https?:\/\/[^\s\p{Cc}]+$/iu;

/** What is wrong with `text` as the URL of a webhook; undefined if nothing is. */
export function findUrlFault(text: string): string | undefined {
  if (text.length > MAX_URL_LENGTH) return `has more than ${MAX_URL_LENGTH} characters`;
  const url = HTTP_URL.test(text) ? URL.parse(text) : null;
  if (url === null) return 'is no http or https URL';
  if (url.username !== '' || url.password !== '') return 'holds a user name or a password';
  return undefined;
}
