// Owns `GET /realtime`: from an admitted upgrade to a running session, and the wiring of the socket's events.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import type { Metrics } from '../stats/metrics.ts';
import { closeLabel } from './close-label.ts';
import type { GatewayBounds } from './gateway-settings.ts';
import { Session, type SessionOptions } from './session.ts';
import { SocketTransport } from './socket-transport.ts';
import { type Admitted, admitUpgrade, type UpgradeDeps } from './upgrade.ts';

export type RealtimeRouteDeps = UpgradeDeps & {
  readonly metrics: Metrics;
  /** The sessions that are open; the route adds and removes. */
  readonly sessions: Set<Session>;
  readonly session: Omit<SessionOptions, 'transport' | 'address' | 'onSettled'>;
};

export function registerRealtimeRoute(app: FastifyInstance, deps: RealtimeRouteDeps): void {
  const admitted = new WeakMap<FastifyRequest, Admitted>();
  app.route({
    method: 'GET',
    url: '/realtime',
    websocket: true,
    preValidation: async (request, reply) => {
      const admission = await admitUpgrade(request, reply, deps);
      if (admission !== undefined) admitted.set(request, admission);
      return admission === undefined ? reply : undefined;
    },
    handler: (webSocket, request) => {
      const admission = admitted.get(request);
      if (admission === undefined) webSocket.terminate();
      else openSession(webSocket, request, admission, deps);
    },
  });
}

// Everything is attached before the first await: frames may stand behind the handshake in the same packet.
function openSession(
  webSocket: WebSocket,
  request: FastifyRequest,
  admission: Admitted,
  deps: RealtimeRouteDeps,
): void {
  const { metrics, sessions } = deps;
  const { socket } = request.raw;
  const { bounds } = deps.settings;
  const transport = new SocketTransport({ webSocket, socket, closeGraceMs: bounds.closeGraceMs, metrics });
  const session = new Session({ ...deps.session, transport, address: admission.address, onSettled: admission.release });
  sessions.add(session);
  webSocket.on('message', (data: Buffer, isBinary) => session.receive(data, isBinary));
  webSocket.on('ping', () => session.receiveControl());
  webSocket.on('pong', () => session.receiveControl());
  webSocket.once('close', (code) => {
    sessions.delete(session);
    session.end();
    metrics.closes.inc({ code: closeLabel(session.sentCloseCode ?? code) });
    deps.session.log.debug({ connectionId: session.id, code: session.sentCloseCode ?? code }, 'socket closed');
  });
  deps.session.log.debug({ connectionId: session.id, address: admission.address }, 'socket opened');
  if (admission.identity !== undefined) session.settle(admission.identity, false);
  else watchUnauthenticated(session, request, bounds);
}

// ws hands over whole messages only, so a large one would be held long before it is judged.
function watchUnauthenticated(session: Session, { raw: { socket } }: FastifyRequest, bounds: GatewayBounds): void {
  const allowedUntil = socket.bytesRead + bounds.unauthenticatedBytes;
  const check = (): void => {
    if (session.state.kind !== 'unauthenticated') socket.off('data', check);
    else if (socket.bytesRead > allowedUntil) session.close('frameTooLarge');
  };
  socket.on('data', check);
}
