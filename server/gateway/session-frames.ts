// Owns what a session does with each text frame, in its turn: decode, then by state and type. A frame that
// fails unexpectedly is answered `internal` or `unavailable`; the session goes on.

import { unreachable } from '../lib/assert.ts';
import type { Logger } from '../lib/logger.ts';
import { type ClientFrame, decodeClientFrame } from '../protocol/client-frame.ts';
import type { Metrics } from '../stats/metrics.ts';
import { type AuthFrameDeps, handleAuth } from './auth-frame.ts';
import { type PublishDeps, publish } from './publish.ts';
import type { Session } from './session.ts';
import { type SubscribeDeps, subscribe } from './subscribe.ts';
import { unsubscribe } from './unsubscribe.ts';

export type SessionFramesDeps = AuthFrameDeps &
  SubscribeDeps &
  PublishDeps & {
    readonly maxUnauthenticatedFrameBytes: number;
    readonly metrics: Pick<Metrics, 'framesIn'>;
    readonly log: Logger;
  };

/** Handles one text frame; never rejects. */
export async function handleTextFrame(session: Session, text: string, deps: SessionFramesDeps): Promise<void> {
  if (!session.isOpen) return;
  // Judged in the frame's turn: what waits behind `auth` is large with good right.
  if (isTooLarge(session, text, deps.maxUnauthenticatedFrameBytes)) return session.close('frameTooLarge');
  const decoded = decodeClientFrame(text);
  if (!decoded.ok) {
    deps.metrics.framesIn.inc({ type: 'bad' });
    return session.refuseBadFrame(decoded.refusal, { ref: decoded.ref });
  }
  deps.metrics.framesIn.inc({ type: decoded.frame.type });
  try {
    await dispatch(session, decoded.frame, text, deps);
  } catch (err) {
    deps.log.error({ err, connectionId: session.id, type: decoded.frame.type }, 'frame failed');
    if (session.isOpen) session.refuse({ code: 'internal', message: 'Internal error' }, { ref: decoded.frame.ref });
  }
}

async function dispatch(session: Session, frame: ClientFrame, text: string, deps: SessionFramesDeps): Promise<void> {
  if (frame.type === 'auth') return handleAuth(frame, session, deps);
  if (session.state.kind === 'unauthenticated' && !enterAnonymously(session, deps)) {
    return session.refuse({ code: 'auth_required', message: 'Authenticate first' }, { ref: frame.ref });
  }
  switch (frame.type) {
    case 'subscribe':
      return subscribe(frame, session, deps);
    case 'unsubscribe':
      return unsubscribe(frame, session, deps.hub);
    case 'publish':
      return publish(frame, text, session, deps);
    case 'ping':
      return session.reply({ type: 'pong', ref: frame.ref });
    default:
      return unreachable(frame);
  }
}

function enterAnonymously(session: Session, { allowAnon, anonymous }: SessionFramesDeps): boolean {
  if (allowAnon) session.settle(anonymous, true);
  return allowAnon;
}

function isTooLarge(session: Session, text: string, maxBytes: number): boolean {
  if (session.state.kind !== 'unauthenticated' || text.length * 3 <= maxBytes) return false;
  return Buffer.byteLength(text) > maxBytes;
}
