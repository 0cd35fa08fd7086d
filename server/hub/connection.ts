// Owns the hub's view of one connected client: its identity, its outbox, its subscriptions. The transport
// (WebSocket, SSE) stays with the gateway, which gives the sink and is told when to cut.

import type { Identity } from '../auth/identity.ts';
import type { Dialect } from '../protocol/dialect.ts';
import { Outbox, type Sink } from './outbox.ts';
import type { Subscription } from './subscription.ts';

export type ConnectionOptions = {
  readonly id: string;
  readonly identity: Identity;
  readonly sink: Sink;
  /** How it is told everything. Default: `rowcast`. */
  readonly dialect?: Dialect | undefined;
  /** Called once when the reader is too slow: the gateway closes the transport. */
  readonly onTooSlow: () => void;
  /** Called when its last subscription ends while it is connected. */
  readonly onUnsubscribed?: (() => void) | undefined;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
};

export class Connection {
  readonly id: string;
  readonly outbox: Outbox;
  readonly subscriptions = new Map<string, Subscription>();
  readonly dialect: Dialect;
  readonly onTooSlow: () => void;
  readonly onUnsubscribed: (() => void) | undefined;
  /** Changed by a renewed token; its subscriptions are judged again by whoever changes it. */
  identity: Identity;
  /** Since when the outbox has been above its bound; undefined while it is not. Set by the hub. */
  overBoundSince: number | undefined = undefined;
  /** True while the connection waits in the hub's list of touched outboxes. */
  touched = false;

  constructor(options: ConnectionOptions) {
    this.id = options.id;
    this.identity = options.identity;
    this.dialect = options.dialect ?? 'rowcast';
    this.onTooSlow = options.onTooSlow;
    this.onUnsubscribed = options.onUnsubscribed;
    this.outbox = new Outbox(options.sink, options.now);
  }
}
