// Owns who is connected and who is subscribed to what, and the fan-out of shared bytes into outboxes.
// Pure memory: it knows neither frames nor SQL, judges nobody, and closes nothing itself but asks the
// connection's owner to. Hot path: no allocation, closure or await per subscriber.

import type { Backlog } from './backlog.ts';
import type { Connection } from './connection.ts';
import { type GroupSpec, groupKey } from './group-spec.ts';
import type { Group, Subscription } from './subscription.ts';

export type HubOptions = {
  /** Above this many queued bytes a reader is behind. */
  readonly maxQueuedBytes: number;
  /** Behind for this long: too slow. */
  readonly tooSlowAfterMs: number;
  /** A blocked socket that drained within this time is still draining, and worth waiting for. */
  readonly drainingWithinMs: number;
  /** Behind by this many times the bound while not draining: too slow at once, whatever the time. */
  readonly hardBoundFactor: number;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
};

export type SubscribeOptions = {
  readonly id: string;
  readonly connection: Connection;
  /** The canonical channel, e.g. `db:posts` whatever the client's spelling. */
  readonly channel: string;
  readonly spec: GroupSpec;
  /** Takes what is delivered, until `goLive`; absent: live at once. */
  readonly backlog?: Backlog | undefined;
};

export class Hub {
  readonly #options: HubOptions;
  readonly #connections = new Map<string, Connection>();
  readonly #channels = new Map<string, Map<string, Group>>();
  readonly #behind = new Set<Connection>();
  #touched: Connection[] = [];

  constructor(options: HubOptions) {
    this.#options = options;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  connections(): IterableIterator<Connection> {
    return this.#connections.values();
  }

  /** Channels that have at least one subscription, with how many. */
  *activeChannels(): Generator<{ channel: string; subscriptions: number }> {
    for (const [channel, groups] of this.#channels) {
      let subscriptions = 0;
      for (const group of groups.values()) subscriptions += group.members.size;
      yield { channel, subscriptions };
    }
  }

  connect(connection: Connection): void {
    this.#connections.set(connection.id, connection);
  }

  /** Ends the connection's subscriptions and forgets it. The transport is the caller's. */
  disconnect(connection: Connection): void {
    for (const subscription of connection.subscriptions.values()) {
      this.#leaveGroup(subscription);
      subscription.backlog?.close();
    }
    connection.subscriptions.clear();
    connection.outbox.close();
    this.#connections.delete(connection.id);
    this.#behind.delete(connection);
  }

  /** Live from the moment it returns, but for a backlog: the next delivery to the group reaches it. */
  subscribe(options: SubscribeOptions): Subscription {
    const { id, connection, channel, spec, backlog = null } = options;
    const group = this.#groupFor(channel, spec);
    const subscription: Subscription = { id, connection, channel, group, backlog };
    group.members.add(subscription);
    connection.subscriptions.set(id, subscription);
    this.#tellApart(connection, channel);
    return subscription;
  }

  /** From here on deliveries reach the connection. What the backlog holds is the caller's to have sent. */
  goLive(subscription: Subscription): void {
    subscription.backlog?.close();
    subscription.backlog = null;
  }

  unsubscribe(subscription: Subscription): void {
    subscription.connection.subscriptions.delete(subscription.id);
    this.#leaveGroup(subscription);
    subscription.backlog?.close();
    this.#tellApart(subscription.connection, subscription.channel);
    if (subscription.connection.subscriptions.size === 0) subscription.connection.onUnsubscribed?.();
  }

  /** Moves a subscription to the group of another spec, between two deliveries: after a renewed token. */
  regroup(subscription: Subscription, spec: GroupSpec): void {
    const group = this.#groupFor(subscription.channel, spec);
    if (group === subscription.group) return;
    this.#leaveGroup(subscription);
    subscription.group = group;
    // What it holds was judged and encoded for the group that it leaves.
    subscription.backlog?.lose();
    group.members.add(subscription);
  }

  /** The groups subscribed to `channel`; empty if nobody is. */
  groups(channel: string): Iterable<Group> {
    return this.#channels.get(channel)?.values() ?? [];
  }

  hasSubscribers(channel: string): boolean {
    return this.#channels.has(channel);
  }

  /**
   * Queues `bytes` for every member of `group`, but not those of the connection `exceptId`; `flush` writes.
   * Returns how many it was queued for.
   */
  deliver(group: Group, bytes: Uint8Array, exceptId?: string | undefined): number {
    if (exceptId !== undefined) return this.#deliverToOthers(group, bytes, exceptId);
    for (const member of group.members) this.#give(member, bytes);
    return group.members.size;
  }

  /** Sends bytes of the server's own to one connection (a reply, a notice), behind all that is queued for it; no bytes, nothing. */
  send(connection: Connection, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#noteDrained(connection);
    connection.outbox.push(bytes);
    connection.outbox.flush();
    this.#watchBound(connection);
  }

  /** Writes what deliveries queued in this turn, one write per socket. */
  flush(): void {
    const touched = this.#touched;
    this.#touched = [];
    for (const connection of touched) {
      connection.touched = false;
      connection.outbox.flush();
      this.#watchBound(connection);
    }
  }

  /**
   * Cuts the readers that are too slow. Returns the bytes that wait for readers which are behind but draining:
   * worth a short wait; 0 if there are none.
   */
  checkBehind(): number {
    const now = this.#options.now();
    let drainingBytes = 0;
    for (const connection of this.#behind) {
      if (connection.outbox.queuedBytes <= this.#options.maxQueuedBytes) this.#caughtUp(connection);
      else if (this.#isTooSlow(connection, now)) this.#cut(connection);
      else if (this.#drains(connection, now)) drainingBytes += connection.outbox.queuedBytes;
    }
    return drainingBytes;
  }

  #deliverToOthers(group: Group, bytes: Uint8Array, exceptId: string): number {
    let count = 0;
    for (const member of group.members) {
      if (member.connection.id === exceptId) continue;
      this.#give(member, bytes);
      count += 1;
    }
    return count;
  }

  #give({ connection, backlog }: Subscription, bytes: Uint8Array): void {
    if (backlog === null) this.#push(connection, bytes);
    else backlog.push(bytes);
  }

  #push(connection: Connection, bytes: Uint8Array): void {
    if (!connection.touched) {
      this.#noteDrained(connection);
      connection.touched = true;
      this.#touched.push(connection);
    }
    connection.outbox.push(bytes);
  }

  // Looked at before more is queued: a reader that caught up since the last look is not behind for longer.
  #noteDrained(connection: Connection): void {
    if (connection.overBoundSince === undefined) return;
    if (connection.outbox.queuedBytes <= this.#options.maxQueuedBytes) this.#caughtUp(connection);
  }

  #watchBound(connection: Connection): void {
    if (connection.outbox.queuedBytes <= this.#options.maxQueuedBytes || this.#behind.has(connection)) return;
    if (!this.#connections.has(connection.id)) return;
    connection.overBoundSince = this.#options.now();
    this.#behind.add(connection);
  }

  #caughtUp(connection: Connection): void {
    connection.overBoundSince = undefined;
    this.#behind.delete(connection);
  }

  #isTooSlow(connection: Connection, now: number): boolean {
    const { tooSlowAfterMs, maxQueuedBytes, hardBoundFactor } = this.#options;
    if (now - (connection.overBoundSince ?? now) >= tooSlowAfterMs) return true;
    return connection.outbox.queuedBytes > maxQueuedBytes * hardBoundFactor && !this.#drains(connection, now);
  }

  #drains(connection: Connection, now: number): boolean {
    return now - connection.outbox.progressAt <= this.#options.drainingWithinMs;
  }

  #cut(connection: Connection): void {
    this.disconnect(connection);
    connection.onTooSlow();
  }

  // Frames name their subscription only where a connection has several on one channel.
  #tellApart(connection: Connection, channel: string): void {
    const siblings = [...connection.subscriptions.values()].filter((other) => other.channel === channel);
    for (const sibling of siblings) {
      const subscriptionId = siblings.length > 1 ? sibling.id : undefined;
      if (sibling.group.spec.subscriptionId === subscriptionId) continue;
      this.regroup(sibling, { ...sibling.group.spec, subscriptionId });
    }
  }

  #groupFor(channel: string, spec: GroupSpec): Group {
    let groups = this.#channels.get(channel);
    if (groups === undefined) {
      groups = new Map();
      this.#channels.set(channel, groups);
    }
    const key = groupKey(spec);
    let group = groups.get(key);
    if (group === undefined) {
      group = { channel, key, spec, members: new Set() };
      groups.set(key, group);
    }
    return group;
  }

  #leaveGroup(subscription: Subscription): void {
    const group = subscription.group;
    group.members.delete(subscription);
    if (group.members.size > 0) return;
    const groups = this.#channels.get(group.channel);
    if (groups?.get(group.key) !== group) return;
    groups.delete(group.key);
    if (groups.size === 0) this.#channels.delete(group.channel);
  }
}
