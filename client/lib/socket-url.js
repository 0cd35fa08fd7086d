// @ts-check
// Owns the completion of the URL that an application gives.

/**
 * `ws://host/realtime` for `http://host`; a URL that names a path keeps it. Throws if the text is no URL.
 * @param {string} text
 */
export function socketUrl(text) {
  const url = new URL(text);
  if (url.protocol === 'http:') url.protocol = 'ws:';
  if (url.protocol === 'https:') url.protocol = 'wss:';
  if (url.pathname === '/') url.pathname = '/realtime';
  return url.href;
}
