// Owns `GET /realtime`: from an admitted upgrade to a session that speaks frames.

import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { WebSocket } from 'ws';
import type { Metrics } from '../stats/metrics.ts';
import type { GatewayBounds } from './gateway-settings.ts';
import type { Session } from './session.ts';
import { openSocketSession, type SocketSessionDeps } from './socket-session.ts';
import { type Admitted, admitUpgrade, type UpgradeDeps } from './upgrade.ts';

export type RealtimeRouteDeps = UpgradeDeps & SocketSessionDeps & { readonly metrics: Metrics };

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

function openSession(
  webSocket: WebSocket,
  request: FastifyRequest,
  { address, identity, release }: Admitted,
  deps: RealtimeRouteDeps,
): void {
  const session = openSocketSession(webSocket, request, { address, onSettled: release }, deps);
  if (identity !== undefined) session.settle(identity, false);
  else watchUnauthenticated(session, request, deps.settings.bounds);
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
