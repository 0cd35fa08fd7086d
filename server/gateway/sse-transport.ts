// Owns the wire of one stream of server-sent events: the head of the response, events as they come encoded, comments
// that keep proxies from closing it, and its end. Nothing is read from such a client, so nothing can be heard of it
// either: that it is gone is seen when TCP says so, or when what is sent to it is not taken.

import type { FastifyReply } from 'fastify';
import type { Metrics } from '../stats/metrics.ts';
import type { Transport } from './transport.ts';

export type SseTransportOptions = {
  readonly reply: FastifyReply;
  /** The page that may read it; undefined where no page asked, or one of the same origin. */
  readonly origin: string | undefined;
  /** Whether it ends with an event that says why. */
  readonly tellsClose: boolean;
  readonly closeGraceMs: number;
  readonly metrics: Pick<Metrics, 'bytesOut'>;
};

const KEEP_ALIVE = Buffer.from(': keep-alive\n\n');
/** How long an EventSource waits before it comes back. */
const RETRY_MS = 2_000;

export class SseTransport implements Transport {
  readonly isReading = false;
  readonly #options: SseTransportOptions;
  #graceTimer: NodeJS.Timeout | undefined = undefined;

  /** Sends the head of the response at once. */
  constructor(options: SseTransportOptions) {
    this.#options = options;
    const { reply, origin } = options;
    reply.hijack();
    reply.raw.once('close', () => clearTimeout(this.#graceTimer));
    reply.raw.writeHead(200, sseHeaders(origin));
    this.write(Buffer.from(`retry: ${RETRY_MS}\n\n`));
  }

  /** False while the socket holds more than it could send; `onDrained` tells when it has. */
  write(chunk: Uint8Array): boolean {
    const { reply, metrics } = this.#options;
    if (chunk.length === 0 || reply.raw.writableEnded || reply.raw.destroyed) return true;
    metrics.bytesOut.inc(chunk.length);
    return reply.raw.write(chunk);
  }

  onDrained(listener: () => void): void {
    this.#options.reply.raw.on('drain', listener);
  }

  // Behind what waits already it would only make it more.
  ping(): void {
    if (!this.#options.reply.raw.writableNeedDrain) this.write(KEEP_ALIVE);
  }

  stopReading(): void {}

  startReading(): void {}

  close(code: number, reason: string): void {
    const { reply, tellsClose, closeGraceMs } = this.#options;
    if (reply.raw.writableEnded) return;
    if (tellsClose) this.write(Buffer.from(`event: close\ndata: ${JSON.stringify({ code, reason })}\n\n`));
    reply.raw.end();
    this.#graceTimer ??= setTimeout(() => reply.raw.destroy(), closeGraceMs);
  }
}

function sseHeaders(origin: string | undefined): Record<string, string> {
  return {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store, no-transform',
    'x-content-type-options': 'nosniff',
    // Proxies of nginx's kind would collect what should leave at once.
    'x-accel-buffering': 'no',
    ...(origin === undefined ? {} : { 'access-control-allow-origin': origin, vary: 'Origin' }),
  };
}
