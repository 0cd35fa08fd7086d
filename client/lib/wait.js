// @ts-check
// Owns a wait that can be ended early, so that closing the client leaves no timer.

/**
 * Resolves after `ms`, or when `signal` is aborted. Never rejects.
 * @param {number} ms
 * @param {AbortSignal} signal
 * @returns {Promise<void>}
 */
export function wait(ms, signal) {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}

/**
 * Resolves when `promise` is settled, or after `ms`.
 * @param {number} ms
 * @param {Promise<unknown>} promise
 */
export async function within(ms, promise) {
  const timeout = new AbortController();
  await Promise.race([promise, wait(ms, timeout.signal)]);
  timeout.abort();
}
