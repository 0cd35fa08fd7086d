// Owns the shape of the wire under a session: a WebSocket, or the response to a request for a stream.

import type { Sink } from '../hub/outbox.ts';

export interface Transport extends Sink {
  onDrained(listener: () => void): void;
  /** Sends a sign of life; a WebSocket asks for one. */
  ping(): void;
  stopReading(): void;
  startReading(): void;
  /** False where the peer's answers cannot be seen. */
  readonly isReading: boolean;
  /** Ends the wire behind what it holds; a peer that does not take it in time is cut. */
  close(code: number, reason: string): void;
}
