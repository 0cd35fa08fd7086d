// Owns the liveness of one socket: a ping now and then, and a sign of life within a bound. Any byte from the
// peer is a sign, and so is a send buffer that drained: a client that takes in a burst has no time for pongs.

export type HeartbeatOptions = {
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly ping: () => void;
  /** True while the peer's answer could not be seen, because its socket is not being read. */
  readonly isExcused: () => boolean;
  readonly onDead: () => void;
};

export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #sawSign = false;
  #timer: NodeJS.Timeout;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.#timer = setTimeout(() => this.#ping(), options.intervalMs);
  }

  noteSign(): void {
    this.#sawSign = true;
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  #ping(): void {
    this.#sawSign = false;
    this.#options.ping();
    this.#timer = setTimeout(() => this.#check(), this.#options.timeoutMs);
  }

  #check(): void {
    const { intervalMs, timeoutMs, isExcused, onDead } = this.#options;
    if (!this.#sawSign && !isExcused()) return onDead();
    this.#timer = setTimeout(() => this.#ping(), Math.max(0, intervalMs - timeoutMs));
  }
}
