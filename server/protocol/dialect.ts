// Owns the dialects: in which form a connection gets what it is told. All members of a group share one. What a dialect has
// no words for is encoded as no bytes, and not sent. Pure, and runs in a browser.

/**
 * `rowcast`: JSON frames as WebSocket text frames. `sse`: the same JSON as server-sent events. `payload`: the payloads of
 * messages and nothing else, as WebSocket text frames; `payload-sse`: as server-sent events.
 */
export type Dialect = 'rowcast' | 'sse' | 'payload' | 'payload-sse';

/** Whether nothing but payloads is told. */
export function isBare(dialect: Dialect): boolean {
  return dialect === 'payload' || dialect === 'payload-sse';
}
