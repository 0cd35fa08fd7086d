// Owns one position that moves, and the waiting for it: how far was delivered, or how far history is written.

import type { Position } from '../lib/position.ts';

type Waiter = { readonly position: Position; readonly resolve: () => void };

export class PositionMark {
  #position: Position | undefined;
  #waiters = new Set<Waiter>();

  /** Undefined before the first stream. */
  get position(): Position | undefined {
    return this.#position;
  }

  /** Moves on; a position behind the mark does not move it. */
  reach(position: Position): void {
    if (this.#position !== undefined && position <= this.#position) return;
    this.reset(position);
  }

  /** Moves to `position` in either direction. */
  reset(position: Position): void {
    this.#position = position;
    if (this.#waiters.size === 0) return;
    for (const waiter of this.#waiters) if (waiter.position <= position) waiter.resolve();
  }

  /** Resolves when the mark is at or beyond `position`, or `signal` is aborted. */
  until(position: Position, signal: AbortSignal): Promise<void> {
    if (signal.aborted || (this.#position !== undefined && position <= this.#position)) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#waiters.delete(waiter);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const waiter: Waiter = { position, resolve: done };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
