// Owns what to do about a link that may be dead: half open, its other end gone without a word, so that neither
// an answer nor an error ever comes. Whoever waits for one bounds its wait, and cuts the socket.

import type { Client } from 'pg';

type Socket = { destroy(error?: Error): void };

/** Nothing came back in time: the other end is taken to be gone. */
export class DeadLinkError extends Error {
  override readonly name = 'DeadLinkError';
  /** As a socket's own error, for whoever classifies it. */
  readonly code = 'ETIMEDOUT';
}

/** Closes the socket under `client`: everything that waits on it is rejected. Again: nothing. */
export function cut(client: Client, why: Error): void {
  (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy(why);
}

/** What `asked` of `client` answers; after `timeoutMs` the link is cut, and this rejects. */
export async function answerWithin<T>(client: Client, timeoutMs: number, asked: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const why = new DeadLinkError(`the database did not answer within ${timeoutMs} ms`);
    late.reject(why);
    cut(client, why);
  }, timeoutMs);
  asked.catch(() => undefined); // rejected by the cut, when nobody waits for it any more
  try {
    return await Promise.race([asked, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Ends the session of `client`; cuts the link if its end is not confirmed in time. Never rejects. */
export async function endWithin(client: Client, timeoutMs: number): Promise<void> {
  const ended = client.end().catch(() => undefined);
  await answerWithin(client, timeoutMs, ended).catch(() => undefined);
}
