// Owns streams of server-sent events: from whoever was let in, and the subscription that it asks for, to a session on the
// response; and the answers to those who get none. A stream is one connection with one subscription.

import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Identity } from '../auth/identity.ts';
import type { SubscribeFrame } from '../protocol/client-frame.ts';
import { CLOSE_CODES } from '../protocol/close-codes.ts';
import type { Dialect } from '../protocol/dialect.ts';
import type { ErrorCode, Refusal } from '../protocol/error-codes.ts';
import { encodeErrorFrame } from '../protocol/server-frame.ts';
import { closeLabel } from './close-label.ts';
import type { Place } from './held-places.ts';
import { type HttpRefusal, sendRefusal } from './http-refusal.ts';
import { Session } from './session.ts';
import type { SocketSessionDeps } from './socket-session.ts';
import { SseTransport } from './sse-transport.ts';
import { beginSubscription, type Plan, planSubscription, type SubscribeDeps } from './subscribe.ts';

export type EventStreamsDeps = SocketSessionDeps & SubscribeDeps;

export type StreamRequest = {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly dialect: Extract<Dialect, 'sse' | 'payload-sse'>;
};

export type Wanted = {
  readonly identity: Identity;
  readonly isAnonymous: boolean;
  /** The address that limits are counted by. */
  readonly address: string;
  readonly frame: SubscribeFrame;
};

export class EventStreams {
  readonly #deps: EventStreamsDeps;
  readonly #open = new Set<FastifyReply>();

  constructor(deps: EventStreamsDeps) {
    this.#deps = deps;
  }

  /** Opens the stream, or answers with why not; the session it opened, if it did. Rejects if nothing could be decided. */
  async open(stream: StreamRequest, { identity, isAnonymous, address, frame }: Wanted): Promise<Session | undefined> {
    const { reply, dialect } = stream;
    const isOpen = (): boolean => !reply.raw.destroyed;
    const plan = await planSubscription(frame, { identity, dialect, held: () => 0, isOpen }, this.#deps);
    if (!isOpen()) return undefined;
    if (!plan.ok) {
      this.refuse(stream, httpRefusalOf(plan, identity));
      return undefined;
    }
    const session = this.#session(stream, address);
    session.settle(identity, isAnonymous);
    beginSubscription(frame, plan, session, this.#deps);
    return session;
  }

  /**
   * Answers with a refusal. An EventSource gives up for good at any status but 200, and comes back by itself when a stream
   * ends: where it shall come back it gets a stream that ends.
   */
  refuse(stream: StreamRequest, refusal: HttpRefusal): void {
    const { request, reply, dialect } = stream;
    if (refusal.statusCode !== 503 || !isEventSource(request)) return void sendRefusal(reply, refusal);
    const transport = this.#transport(stream);
    const { message } = refusal;
    transport.write(encodeErrorFrame({ code: 'unavailable', message }, {}, dialect));
    const { code, reason } = CLOSE_CODES.restarting;
    transport.close(code, reason);
  }

  /** Cuts what is still open. */
  cut(): void {
    for (const { raw } of this.#open) raw.destroy();
  }

  #session(stream: StreamRequest, address: string): Session {
    const { metrics, sessions, session: shared } = this.#deps;
    const { reply, dialect } = stream;
    const transport = this.#transport(stream);
    const nothing = (): void => {};
    const ofStream = { transport, dialect, address, endsWithSubscription: true, onSettled: nothing };
    const session = new Session({ ...shared, ...ofStream });
    sessions.add(session);
    reply.raw.once('close', () => {
      sessions.delete(session);
      session.end();
      metrics.closes.inc({ code: closeLabel(session.sentCloseCode ?? GONE) });
    });
    return session;
  }

  #transport({ request, reply, dialect }: StreamRequest): SseTransport {
    const { metrics, session } = this.#deps;
    const { closeGraceMs } = session.settings.bounds;
    this.#open.add(reply);
    reply.raw.once('close', () => this.#open.delete(reply));
    const { origin } = request.headers;
    return new SseTransport({ reply, origin, tellsClose: dialect === 'sse', closeGraceMs, metrics });
  }
}

/** What a client that leaves without a word counts as. */
const GONE = 1001;

/** Gives the place back when the request has been answered or its stream has ended. */
export function holdUntilEnd({ raw }: FastifyReply, place: Place): void {
  raw.once('close', place);
  // It may have gone while it was looked at.
  if (raw.destroyed) place();
}

function isEventSource({ headers: { accept } }: FastifyRequest): boolean {
  return accept?.includes('text/event-stream') === true;
}

const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = {
  bad_name: 400,
  bad_filter: 400,
  bad_since: 400,
  wildcard_not_supported: 400,
  channel_unavailable: 403,
  rate_limited: 429,
  unavailable: 503,
};

function httpRefusalOf({ refusal }: Extract<Plan, { ok: false }>, { isAdmin }: Identity): HttpRefusal {
  const { code, message, detail }: Refusal = refusal;
  const reason = isAdmin && detail !== undefined ? `: ${detail}` : '';
  return { statusCode: STATUS[code] ?? 500, error: code, message: `${message}${reason}` };
}
