// Owns the way from an admitted upgrade to a running session, and the wiring of the socket's events. All sockets share it.

import type { FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import type { Metrics } from '../stats/metrics.ts';
import { closeLabel } from './close-label.ts';
import { Session, type SessionOptions } from './session.ts';
import { SocketTransport } from './socket-transport.ts';

export type SocketSessionDeps = {
  readonly metrics: Metrics;
  /** The sessions that are open. */
  readonly sessions: Set<Session>;
  readonly session: Omit<SessionOptions, 'transport' | 'address' | 'onSettled'>;
};

type OfSocket = Pick<SessionOptions, 'address' | 'onSettled'> & Partial<SessionOptions>;

/** Everything is attached before it returns: frames may stand behind the handshake in the same packet. */
export function openSocketSession(
  webSocket: WebSocket,
  { raw: { socket } }: FastifyRequest,
  ofSocket: OfSocket,
  { metrics, sessions, session: shared }: SocketSessionDeps,
): Session {
  const { closeGraceMs } = shared.settings.bounds;
  const transport = new SocketTransport({ webSocket, socket, closeGraceMs, metrics });
  const session = new Session({ ...shared, ...ofSocket, transport });
  sessions.add(session);
  webSocket.on('message', (data: Buffer, isBinary) => session.receive(data, isBinary));
  webSocket.on('ping', () => session.receiveControl());
  webSocket.on('pong', () => session.receiveControl());
  webSocket.once('close', (code) => {
    sessions.delete(session);
    session.end();
    metrics.closes.inc({ code: closeLabel(session.sentCloseCode ?? code) });
    shared.log.debug({ connectionId: session.id, code: session.sentCloseCode ?? code }, 'socket closed');
  });
  shared.log.debug({ connectionId: session.id, address: session.address }, 'socket opened');
  return session;
}
