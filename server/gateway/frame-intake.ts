// Owns what comes from one socket before its meaning: size, rate, text or binary, and the order. What breaks
// a limit closes the socket; what is merely bad is answered by whoever handles the frames.

import type { CloseReason } from '../protocol/close-codes.ts';
import type { Metrics } from '../stats/metrics.ts';
import { FrameQueue } from './frame-queue.ts';
import type { GatewaySettings } from './gateway-settings.ts';
import { TokenBucket } from './token-bucket.ts';

export type FrameIntakeOptions = {
  readonly settings: Pick<GatewaySettings, 'socket' | 'limits' | 'bounds'>;
  readonly metrics: Pick<Metrics, 'bytesIn'>;
  readonly now: () => number;
  /** Handles one text frame; the next waits for it. Must not reject. */
  readonly handle: (text: string) => Promise<void>;
  readonly onBroken: (reason: CloseReason) => void;
  readonly stopReading: () => void;
  readonly startReading: () => void;
};

/** Stands for a binary frame in the queue: refused in its turn, like any text that is no frame. */
const BINARY_FRAME = '';

export class FrameIntake {
  readonly #options: FrameIntakeOptions;
  readonly #bucket: TokenBucket | undefined;
  readonly #queue: FrameQueue;

  constructor(options: FrameIntakeOptions) {
    const { settings, now, handle, stopReading, startReading } = options;
    const { socket, limits, bounds } = settings;
    const perSecond = socket.maxFramesPerSecond;
    this.#options = options;
    // The burst is twice the rate: after a reconnect a client subscribes to everything at once.
    this.#bucket = limits.rateLimit ? new TokenBucket({ perSecond, burst: perSecond * 2, now }) : undefined;
    this.#queue = new FrameQueue({
      maxFrames: bounds.pendingFrames,
      maxLength: bounds.pendingLength,
      handle,
      onFull: stopReading,
      onRoom: startReading,
    });
  }

  /** Takes a data frame off the wire. */
  take(data: Buffer, isBinary: boolean): void {
    const { settings, metrics, onBroken } = this.#options;
    metrics.bytesIn.inc(data.length);
    if (data.length > settings.socket.maxFrameBytes) return onBroken('frameTooLarge');
    if (!this.#isWithinRate()) return onBroken('tooManyFrames');
    this.#queue.push(isBinary ? BINARY_FRAME : data.toString('utf8'));
  }

  /** Takes a ping or pong of the WebSocket protocol itself: it counts for the rate alone. */
  takeControl(): void {
    if (!this.#isWithinRate()) this.#options.onBroken('tooManyFrames');
  }

  /** Takes nothing more. */
  close(): void {
    this.#queue.close();
  }

  /** Resolves when no frame is in work. */
  idle(): Promise<void> {
    return this.#queue.idle();
  }

  #isWithinRate(): boolean {
    return this.#bucket?.take() ?? true;
  }
}
