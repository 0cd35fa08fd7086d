// Owns what of a URL may stand in a log: the path, and of the query only the names of its parameters, since
// `token` and `ticket` are secrets and the rest may be.

/** `/realtime?token=…` for `/realtime?token=eyJ…`. Never throws. */
export function redactUrl(url: string): string {
  const start = url.indexOf('?');
  if (start < 0) return url;
  const names = url
    .slice(start + 1)
    .split('&')
    .map((pair) => pair.split('=', 1)[0] ?? '')
    .map((name) => `${name.slice(0, 32)}=…`);
  return `${url.slice(0, start)}?${names.slice(0, 16).join('&')}`;
}
