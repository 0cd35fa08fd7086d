// Owns which settings the gateway reads, and the bounds that are no settings of the operator's: those that
// only keep memory and hostile peers in check. Tests shorten them.

import type { Config } from '../config/config.ts';

export type GatewayConfig = Pick<Config, 'http' | 'auth' | 'socket' | 'limits' | 'shutdown'>;

export type GatewayBounds = {
  /** Bytes of a frame that are read at all; above it close 1009. */
  readonly payloadBytes: number;
  /** Bytes that a socket may send in all before it is authenticated; above it close 4413. */
  readonly unauthenticatedBytes: number;
  /** Bad frames that a connection may send; the next closes it 4400. */
  readonly badFrames: number;
  /** Frames and characters that may wait for their turn; above it the socket is not read. */
  readonly pendingFrames: number;
  readonly pendingLength: number;
  /** How long a peer may take to answer a close frame before its socket is destroyed. */
  readonly closeGraceMs: number;
  /** How often readers are looked at that are too slow while nothing is delivered. */
  readonly slowReaderCheckMs: number;
  /** Tickets that may be open at once, in all and of one identity. */
  readonly tickets: number;
  readonly ticketsPerIdentity: number;
  /** From headers to the end of a request's body. */
  readonly headersTimeoutMs: number;
  readonly requestTimeoutMs: number;
};

export type GatewaySettings = GatewayConfig & { readonly bounds: GatewayBounds };

export const GATEWAY_BOUNDS: GatewayBounds = {
  payloadBytes: 1024 * 1024,
  unauthenticatedBytes: 256 * 1024,
  badFrames: 10,
  pendingFrames: 256,
  pendingLength: 256 * 1024,
  closeGraceMs: 5_000,
  slowReaderCheckMs: 500,
  tickets: 10_000,
  ticketsPerIdentity: 64,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
};
