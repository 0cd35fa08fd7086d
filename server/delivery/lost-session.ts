// Owns the noticing that the leader's session has ended: the lock is gone with it, and a database that stops
// waits for the stream.

import type { Client } from 'pg';

/** Rejects when the session of `client` ends. Never resolves; looks no more once `signal` is aborted. */
export function lostSession(client: Client, signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const onEnd = (): void => reject(new Error('the session of the journal was ended'));
    client.once('error', reject);
    client.once('end', onEnd);
    signal.addEventListener('abort', () => client.off('end', onEnd).off('error', reject), { once: true });
  });
}
