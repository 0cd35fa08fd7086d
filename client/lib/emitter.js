// @ts-check
// Owns the listeners of the client's events. A listener that throws ends neither the others nor the client.

import { RowcastError } from './rowcast-error.js';

/** @typedef {import('../rowcast.d.ts').ClientEvents} ClientEvents */

export class Emitter {
  /** @type {Map<string, Set<(value: any) => void>>} */
  #listeners = new Map();

  /**
   * @template {keyof ClientEvents} Name
   * @param {Name} name
   * @param {ClientEvents[Name]} listener
   * @returns {() => void}
   */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /**
   * @template {keyof ClientEvents} Name
   * @param {Name} name
   * @param {Parameters<ClientEvents[Name]>[0]} value
   */
  emit(name, value) {
    for (const listener of this.#listeners.get(name) ?? []) {
      if (name === 'error') guardLast(() => listener(value));
      else this.guard(() => listener(value));
    }
  }

  /**
   * Calls foreign code; what it throws becomes an `error` event.
   * @param {() => void} call
   */
  guard(call) {
    try {
      call();
    } catch (cause) {
      if (!this.#listeners.get('error')?.size) return throwOutside(cause);
      this.emit('error', new RowcastError('listener_failed', `A listener failed: ${cause}`, { cause }));
    }
  }
}

/**
 * What fails in the handling of errors has nowhere else to go.
 * @param {() => void} call
 */
function guardLast(call) {
  try {
    call();
  } catch (cause) {
    throwOutside(cause);
  }
}

/** @param {unknown} cause */
function throwOutside(cause) {
  queueMicrotask(() => {
    throw cause;
  });
}
