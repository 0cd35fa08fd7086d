// Owns one WebSocket's wire: pre-framed bytes go to the TCP socket as they are, so that shared frames are
// never copied or framed again; pings and the close frame go through ws, which writes whole frames too, so
// the two never mix within one. After the close frame nothing is written (RFC 6455, section 5.5.1).

import type { Socket } from 'node:net';
import type { WebSocket } from 'ws';
import type { Metrics } from '../stats/metrics.ts';
import type { Transport } from './transport.ts';

export type SocketTransportOptions = {
  readonly webSocket: WebSocket;
  /** The TCP or TLS socket under `webSocket`. */
  readonly socket: Socket;
  readonly closeGraceMs: number;
  readonly metrics: Pick<Metrics, 'bytesOut'>;
};

export class SocketTransport implements Transport {
  readonly #options: SocketTransportOptions;
  #graceTimer: NodeJS.Timeout | undefined = undefined;

  constructor(options: SocketTransportOptions) {
    this.#options = options;
    options.webSocket.once('close', () => clearTimeout(this.#graceTimer));
  }

  /** False while the socket holds more than it could send; `onDrained` tells when it has. */
  write(chunk: Uint8Array): boolean {
    const { webSocket, socket, metrics } = this.#options;
    if (webSocket.readyState !== webSocket.OPEN) return true;
    metrics.bytesOut.inc(chunk.length);
    return socket.write(chunk);
  }

  onDrained(listener: () => void): void {
    this.#options.socket.on('drain', listener);
  }

  ping(): void {
    const { webSocket } = this.#options;
    if (webSocket.readyState === webSocket.OPEN) webSocket.ping();
  }

  /** Stops reading frames from the peer; TCP tells it to wait. */
  stopReading(): void {
    this.#options.webSocket.pause();
  }

  startReading(): void {
    this.#options.webSocket.resume();
  }

  get isReading(): boolean {
    return !this.#options.webSocket.isPaused;
  }

  /** Sends a close frame; a peer that does not answer it in time is cut. */
  close(code: number, reason: string): void {
    const { webSocket, closeGraceMs } = this.#options;
    // A paused socket would never see the peer's close frame.
    webSocket.resume();
    webSocket.close(code, reason);
    this.#graceTimer ??= setTimeout(() => webSocket.terminate(), closeGraceMs);
  }
}
