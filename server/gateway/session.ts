// Owns one WebSocket or stream of events from its opening to its end: unauthenticated, authenticated, closing, and the timers of
// each. What frames mean is session-frames.ts; what comes off the wire is frame-intake.ts. Whatever ends the
// socket, the hub is told exactly once.

import { randomUUID } from 'node:crypto';
import type { Identity } from '../auth/identity.ts';
import { Connection } from '../hub/connection.ts';
import type { Hub } from '../hub/hub.ts';
import { pause } from '../lib/backoff.ts';
import type { Logger } from '../lib/logger.ts';
import type { Ref } from '../protocol/client-frame.ts';
import { CLOSE_CODES, type CloseReason } from '../protocol/close-codes.ts';
import type { Dialect } from '../protocol/dialect.ts';
import type { Refusal } from '../protocol/error-codes.ts';
import { encodeErrorFrame, encodeServerFrame, type ServerFrame } from '../protocol/server-frame.ts';
import type { Metrics } from '../stats/metrics.ts';
import { FrameIntake } from './frame-intake.ts';
import type { GatewaySettings } from './gateway-settings.ts';
import { Heartbeat } from './heartbeat.ts';
import type { Place } from './held-places.ts';
import { formatInstant } from './instant.ts';
import type { Peer, ReplyContext } from './peer.ts';
import { TokenLifetime } from './token-lifetime.ts';
import type { Transport } from './transport.ts';

export type SessionState =
  | { readonly kind: 'unauthenticated'; readonly deadline: NodeJS.Timeout }
  | { readonly kind: 'authenticated'; readonly connection: Connection; readonly isAnonymous: boolean }
  | { readonly kind: 'closing' };

export type SessionOptions = {
  readonly hub: Hub;
  readonly transport: Transport;
  /** How it is told everything. Default: `rowcast`. */
  readonly dialect?: Dialect | undefined;
  /** It was opened for one subscription, and closes when that ends. */
  readonly endsWithSubscription?: boolean | undefined;
  readonly settings: GatewaySettings;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** The address that limits are counted by. */
  readonly address: string;
  /** Handles one text frame of the session. Must not reject. */
  readonly handleFrame: (session: Session, text: string) => Promise<void>;
  /** The identity of a session that never authenticates, where that is allowed. */
  readonly anonymous: Identity;
  /** What whoever comes in is told about the stream, if it does not flow. */
  readonly systemNotice: () => ServerFrame | undefined;
  /** Called once when the session is no longer unauthenticated. */
  readonly onSettled: () => void;
  readonly now: () => number;
  readonly wallClock: () => number;
};

// Longer names cannot be channels; an error does not repeat what was never one.
const MAX_ECHOED_CHANNEL = 200;

export class Session implements Peer {
  readonly id = randomUUID();
  readonly address: string;
  /** Milliseconds of Unix time. */
  readonly openedAtMs: number;
  readonly #options: SessionOptions;
  readonly #intake: FrameIntake;
  readonly #heartbeat: Heartbeat;
  readonly #lifetime: TokenLifetime;
  #state: SessionState;
  #place: Place | undefined = undefined;
  #badFrames = 0;
  #failedTries = 0;
  #sentCloseCode: number | undefined = undefined;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.address = options.address;
    this.openedAtMs = options.wallClock();
    this.#intake = this.#createIntake();
    this.#heartbeat = this.#createHeartbeat();
    this.#lifetime = this.#createLifetime();
    const deadline = setTimeout(() => this.#onDeadline(), options.settings.auth.deadlineMs);
    this.#state = { kind: 'unauthenticated', deadline };
    options.transport.onDrained(() => this.#onDrained());
  }

  get state(): SessionState {
    return this.#state;
  }

  get isOpen(): boolean {
    return this.#state.kind !== 'closing';
  }

  /** The hub's connection. Throws unless authenticated. */
  get connection(): Connection {
    if (this.#state.kind !== 'authenticated') throw new Error(`bug: a session that is ${this.#state.kind} has none`);
    return this.#state.connection;
  }

  /** The code of the close frame that this side sent, if it did. */
  get sentCloseCode(): number | undefined {
    return this.#sentCloseCode;
  }

  receive(data: Buffer, isBinary: boolean): void {
    this.#heartbeat.noteSign();
    if (this.isOpen) this.#intake.take(data, isBinary);
  }

  receiveControl(): void {
    this.#heartbeat.noteSign();
    if (this.isOpen) this.#intake.takeControl();
  }

  /** Keeps a place until the session ends; at most one. */
  hold(place: Place): void {
    if (this.isOpen) this.#place = place;
    else place();
  }

  /** Enters the hub under `identity`. Only while unauthenticated. */
  settle(identity: Identity, isAnonymous: boolean, ref?: Ref | undefined): void {
    if (this.#state.kind !== 'unauthenticated') throw new Error(`bug: settled while ${this.#state.kind}`);
    clearTimeout(this.#state.deadline);
    const { hub, transport, dialect, endsWithSubscription, now, onSettled } = this.#options;
    const connection = new Connection({
      id: this.id,
      identity,
      sink: transport,
      dialect,
      onTooSlow: () => this.#onTooSlow(),
      onUnsubscribed: endsWithSubscription ? () => this.#finish('tokenExpired') : undefined,
      now,
    });
    hub.connect(connection);
    this.#state = { kind: 'authenticated', connection, isAnonymous };
    onSettled();
    if (!isAnonymous) this.#welcome(identity, ref);
    const notice = this.#options.systemNotice();
    if (notice !== undefined) this.reply(notice);
    // Nothing comes to it here, and whoever found this server while another one took over would wait for ever.
    if (notice?.type === 'system' && notice.status === 'standby') this.#finish('restarting');
  }

  /** Follows a renewed token from here on. The caller puts the connection under its identity in the same turn. */
  renew(identity: Identity, ref: Ref | undefined): void {
    this.#state = { kind: 'authenticated', connection: this.connection, isAnonymous: false };
    this.#welcome(identity, ref);
  }

  /** Counts a refused token; after so many the socket is closed. */
  noteFailedTry(): void {
    this.#failedTries += 1;
    if (this.#failedTries >= this.#options.settings.auth.maxTries) this.close('notAuthenticated');
  }

  reply(frame: ServerFrame): void {
    this.#send(encodeServerFrame(frame, this.#dialect));
  }

  refuse(refusal: Refusal, { ref, channel }: ReplyContext): void {
    this.#options.metrics.errorFrames.inc({ code: refusal.code });
    const shown = this.#isAdmin() ? refusal : { code: refusal.code, message: refusal.message };
    const echoed = channel !== undefined && channel.length <= MAX_ECHOED_CHANNEL ? channel : undefined;
    this.#send(encodeErrorFrame(shown, { ref, channel: echoed }, this.#dialect));
  }

  /** Refuses a frame that is none; too many of them close the socket. */
  refuseBadFrame(refusal: Refusal, context: ReplyContext): void {
    this.refuse(refusal, context);
    this.#badFrames += 1;
    if (this.#badFrames > this.#options.settings.bounds.badFrames) this.close('badFrames');
  }

  /** Says why and closes; leaves the hub at once. */
  close(why: CloseReason): void {
    this.end();
    this.#sendClose(why);
  }

  /** Takes no more frames, lets the one in work and what is queued go out, then closes, by default as restarting. */
  async drain(delayMs: number, signal: AbortSignal, why: CloseReason = 'restarting'): Promise<void> {
    await pause(delayMs, signal);
    this.#intake.close();
    await Promise.race([this.#intake.idle(), pause(this.#options.settings.shutdown.drainMs, signal)]);
    while (!signal.aborted && this.#state.kind === 'authenticated' && this.connection.outbox.queuedBytes > 0) {
      await pause(10, signal);
    }
    if (this.isOpen) this.close(why);
  }

  /** Leaves the hub and stops all timers. Called when the socket has ended or is about to; again does nothing. */
  end(): void {
    const state = this.#state;
    this.#stop();
    if (state.kind === 'authenticated') this.#options.hub.disconnect(state.connection);
  }

  #stop(): void {
    const state = this.#state;
    if (state.kind === 'closing') return;
    this.#state = { kind: 'closing' };
    this.#place?.();
    this.#intake.close();
    this.#heartbeat.stop();
    this.#lifetime.stop();
    if (state.kind === 'authenticated') return;
    clearTimeout(state.deadline);
    this.#options.onSettled();
  }

  #welcome({ sub, role, expiresAt }: Identity, ref: Ref | undefined): void {
    const until = expiresAt === null ? null : formatInstant(expiresAt * 1000);
    this.reply({ type: 'auth_success', userId: sub, role, expiresAt: until, ref });
    this.#lifetime.follow(expiresAt);
  }

  #sendClose(why: CloseReason): void {
    const { code, reason } = CLOSE_CODES[why];
    this.#sentCloseCode ??= code;
    this.#options.transport.close(code, reason);
  }

  #send(bytes: Uint8Array): void {
    const state = this.#state;
    // Before authentication nothing else is written, so replies need no queue: what a socket may send is bounded.
    if (state.kind === 'unauthenticated') this.#options.transport.write(bytes);
    else if (state.kind === 'authenticated') this.#options.hub.send(state.connection, bytes);
  }

  get #dialect(): Dialect {
    return this.#options.dialect ?? 'rowcast';
  }

  // Not at once: the client is still to be told why.
  #finish(why: CloseReason): void {
    const patience = new AbortController();
    const timer = setTimeout(() => patience.abort(), this.#options.settings.bounds.closeGraceMs);
    void this.drain(0, patience.signal, why).finally(() => {
      clearTimeout(timer);
      // Ends what still waits for its time.
      patience.abort();
    });
  }

  #isAdmin(): boolean {
    return this.#state.kind === 'authenticated' && this.#state.connection.identity.isAdmin;
  }

  #onDeadline(): void {
    if (this.#options.settings.auth.allowAnon) this.settle(this.#options.anonymous, true);
    else this.close('notAuthenticated');
  }

  #onDrained(): void {
    this.#heartbeat.noteSign();
    if (this.#state.kind === 'authenticated') this.#state.connection.outbox.drained();
  }

  // The hub has already let the connection go, so it is not told again.
  #onTooSlow(): void {
    this.#options.metrics.slowReaders.inc();
    this.#options.log.info({ connectionId: this.id, address: this.address }, 'reader too slow, closing');
    this.#stop();
    this.#sendClose('readerTooSlow');
  }

  #createIntake(): FrameIntake {
    const { settings, metrics, now, transport, handleFrame } = this.#options;
    return new FrameIntake({
      settings,
      metrics,
      now,
      handle: (text) => handleFrame(this, text),
      onBroken: (reason) => this.close(reason),
      stopReading: () => transport.stopReading(),
      startReading: () => transport.startReading(),
    });
  }

  #createHeartbeat(): Heartbeat {
    const { transport, settings } = this.#options;
    return new Heartbeat({
      intervalMs: settings.socket.pingIntervalMs,
      timeoutMs: settings.socket.pongTimeoutMs,
      ping: () => transport.ping(),
      isExcused: () => !transport.isReading,
      onDead: () => this.close('noPong'),
    });
  }

  #createLifetime(): TokenLifetime {
    return new TokenLifetime({
      noticeMs: this.#options.settings.auth.expiryNoticeMs,
      wallClock: this.#options.wallClock,
      onExpiring: (expiresAtMs) => this.reply({ type: 'token_expiring', expiresAt: formatInstant(expiresAtMs) }),
      onExpired: () => this.close('tokenExpired'),
    });
  }
}
