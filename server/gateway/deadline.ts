// Owns a moment of the wall clock at which something is due, however far away: setTimeout fires at once for
// delays beyond 2^31 ms, so it is asked in steps, which also follow a clock that is set.

const MAX_STEP_MS = 60 * 60 * 1000;

export class Deadline {
  readonly #wallClock: () => number;
  #timer: NodeJS.Timeout | undefined = undefined;

  /** `wallClock` in milliseconds of Unix time. */
  constructor(wallClock: () => number) {
    this.#wallClock = wallClock;
  }

  /** Calls `onDue` once `atMs` has come; replaces what was set before. Never calls it synchronously. */
  set(atMs: number, onDue: () => void): void {
    this.clear();
    const step = (): void => {
      const leftMs = atMs - this.#wallClock();
      if (leftMs <= 0) onDue();
      else this.#timer = setTimeout(step, Math.min(leftMs, MAX_STEP_MS));
    };
    this.#timer = setTimeout(step, Math.min(Math.max(0, atMs - this.#wallClock()), MAX_STEP_MS));
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}
