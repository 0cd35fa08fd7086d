// Owns which headers of an incoming webhook its receivers get: what says of what kind it is, which delivery it is, and
// who signed it. What belongs to the connection or its way here says nothing to them, and what lets the sender in
// somewhere (Authorization, cookies) is none of their business, and is never written down.

const OF_CONNECTION = [
  ...['host', 'connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'te', 'trailer', 'upgrade'],
  ...['expect', 'content-length', 'content-encoding', 'accept', 'accept-encoding', 'accept-language', 'accept-charset'],
];
const OF_WAY = ['forwarded', 'via', 'x-real-ip', 'true-client-ip', 'cdn-loop'];
const OF_CREDENTIALS = ['authorization', 'proxy-authorization', 'cookie', 'set-cookie'];
const DROPPED: ReadonlySet<string> = new Set([...OF_CONNECTION, ...OF_WAY, ...OF_CREDENTIALS]);
const DROPPED_PREFIX = /^(x-forwarded-|cf-)/;
/** Of names and values together; what goes beyond is left out. */
const MAX_BYTES = 8_192;

/** The headers that are kept, names in lower case as Node gives them. */
export function keptHeaders(
  headers: Readonly<Record<string, string | readonly string[] | undefined>>,
): Readonly<Record<string, string>> {
  const kept: [string, string][] = [];
  let bytes = 0;
  for (const [name, given] of Object.entries(headers)) {
    if (given === undefined || DROPPED.has(name) || DROPPED_PREFIX.test(name)) continue;
    const value = typeof given === 'string' ? given : given.join(', ');
    const size = Buffer.byteLength(name) + Buffer.byteLength(value);
    if (bytes + size > MAX_BYTES) continue;
    bytes += size;
    kept.push([name, value]);
  }
  return Object.fromEntries(kept);
}
