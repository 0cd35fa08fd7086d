// The client's public face. Types are in rowcast.d.ts, the parts in lib/. No dependencies; runs in browsers
// and in Node 22 or later as it is.

import { RealtimeClient } from './lib/client.js';

export { RowcastError } from './lib/rowcast-error.js';

/**
 * A client that connects on the first `connect` or `subscribe`, and stays connected until `close`.
 * @param {string} url
 * @param {import('./rowcast.d.ts').ClientOptions} [options]
 * @returns {import('./rowcast.d.ts').Client}
 */
export function createClient(url, options = {}) {
  return new RealtimeClient(url, options);
}
