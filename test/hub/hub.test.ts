import { beforeEach, describe, expect, it } from 'vitest';
import { makeIdentity } from '../../server/auth/make-identity.ts';
import { Connection } from '../../server/hub/connection.ts';
import { type GroupSpec, groupKey } from '../../server/hub/group-spec.ts';
import { Hub } from '../../server/hub/hub.ts';
import type { Group, Subscription } from '../../server/hub/subscription.ts';

const BOUND = 1000;
const alice = makeIdentity({ role: 'authenticated', isAdmin: false, claims: { sub: 'alice' } });
const bob = makeIdentity({ role: 'authenticated', isAdmin: false, claims: { sub: 'bob' } });
const spec: GroupSpec = { dialect: 'rowcast', channelName: 'db:posts', events: null, filter: null, identity: alice };

/** A connection whose socket stays full after `takes` writes until `drain`. */
type Peer = Connection & { readonly written: string[]; drain(takes?: number): void; wasCut: boolean };

let nowMs: number;
let hub: Hub;
let count: number;
const clock = (): number => nowMs;

beforeEach(() => {
  nowMs = 1_000;
  count = 0;
  hub = new Hub({
    maxQueuedBytes: BOUND,
    tooSlowAfterMs: 2_000,
    drainingWithinMs: 500,
    hardBoundFactor: 8,
    now: clock,
  });
});

function connect(takes = Number.POSITIVE_INFINITY): Peer {
  let left = takes;
  const written: string[] = [];
  const sink = {
    write: (bytes: Uint8Array): boolean => {
      written.push(Buffer.from(bytes).toString());
      return --left > 0;
    },
  };
  const onTooSlow = (): void => {
    peer.wasCut = true;
  };
  const connection = new Connection({ id: `c${++count}`, identity: alice, sink, onTooSlow, now: clock });
  const peer: Peer = Object.assign(connection, {
    written,
    wasCut: false,
    drain: (more = 1) => {
      left = more;
      connection.outbox.drained();
    },
  });
  hub.connect(peer);
  return peer;
}

function subscribe(connection: Connection, more: Partial<GroupSpec> = {}, channel = 'db:posts'): Subscription {
  return hub.subscribe({ id: `s${++count}`, connection, channel, spec: { ...spec, ...more } });
}

const bytes = (text: string): Uint8Array => Buffer.from(text);
const groups = (channel = 'db:posts'): Group[] => [...hub.groups(channel)];
const deliver = (text: string): void => {
  for (const group of groups()) hub.deliver(group, bytes(text));
};

describe('groups', () => {
  it('unite subscriptions that get the same bytes, and keep others apart', () => {
    const [a, b] = [connect(), connect()];
    expect(subscribe(a).group).toBe(subscribe(b).group);
    const others = [
      { channelName: 'db:public.posts' },
      { events: new Set(['INSERT']) },
      { identity: bob },
      { dialect: 'sse' as const },
    ];
    for (const other of others) subscribe(connect(), other);
    expect(groups()).toHaveLength(1 + others.length);
    expect([...hub.activeChannels()]).toEqual([{ channel: 'db:posts', subscriptions: 6 }]);
  });

  it('do not depend on the order of events', () => {
    const key = (...events: string[]): string => groupKey({ ...spec, events: new Set(events) });
    expect(key('INSERT', 'DELETE')).toBe(key('DELETE', 'INSERT'));
    expect(key('INSERT')).not.toBe(key('INSERT', 'DELETE'));
    expect(key('*')).not.toBe(groupKey(spec));
  });

  it('cannot be made equal by odd names', () => {
    expect(groupKey({ ...spec, channelName: 'a","b' })).not.toBe(
      groupKey({ ...spec, channelName: 'a', dialect: 'sse' }),
    );
  });

  it('leave nothing behind when their last member goes', () => {
    const peer = connect();
    const subscription = subscribe(peer);
    hub.unsubscribe(subscription);
    expect(hub.hasSubscribers('db:posts')).toBe(false);
    subscribe(peer);
    subscribe(peer, {}, 'db:other');
    hub.disconnect(peer);
    expect([...hub.activeChannels()]).toEqual([]);
    expect(hub.connectionCount).toBe(0);
  });

  it('tell several subscriptions of a connection on one channel apart, as long as there are several', () => {
    const [peer, other] = [connect(), connect()];
    const first = subscribe(peer);
    const foreign = subscribe(other);
    expect(first.group).toBe(foreign.group);
    const second = subscribe(peer, { channelName: 'db:public.posts' });
    expect([first, second].map(({ id, group }) => group.spec.subscriptionId === id)).toEqual([true, true]);
    expect(foreign.group.spec.subscriptionId).toBeUndefined();
    hub.unsubscribe(second);
    expect(first.group).toBe(foreign.group);
    subscribe(peer, {}, 'db:other');
    expect(first.group.spec.subscriptionId).toBeUndefined();
  });

  it('follow a renewed identity without a delivery missed or doubled', () => {
    const peer = connect();
    const subscription = subscribe(peer);
    deliver('1');
    hub.regroup(subscription, { ...subscription.group.spec, identity: bob });
    deliver('2');
    hub.flush();
    expect(peer.written).toEqual(['12']);
    expect(groups().map((group) => group.spec.identity)).toEqual([bob]);
  });
});

describe('a delivery', () => {
  it('reaches every member with the same bytes, one write each, in order', () => {
    const peers = [connect(), connect()];
    for (const peer of peers) subscribe(peer);
    expect(hub.deliver(groups()[0] as Group, bytes('a'))).toBe(2);
    deliver('b');
    expect(peers.map((peer) => peer.written)).toEqual([[], []]);
    hub.flush();
    expect(peers.map((peer) => peer.written)).toEqual([['ab'], ['ab']]);
  });

  it('comes before a reply that is sent after it, and after one that was sent before', () => {
    const peer = connect();
    hub.send(peer, bytes('subscribed '));
    subscribe(peer);
    deliver('change ');
    hub.send(peer, bytes('pong '));
    deliver('change');
    hub.flush();
    expect(peer.written.join('')).toBe('subscribed change pong change');
  });

  it('does not reach who unsubscribed or disconnected before it', () => {
    const [left, gone] = [connect(), connect()];
    hub.unsubscribe(subscribe(left));
    subscribe(gone);
    hub.disconnect(gone);
    deliver('a');
    hub.flush();
    expect([left.written, gone.written]).toEqual([[], []]);
  });

  it('queued for somebody who disconnects is dropped', () => {
    const peer = connect();
    subscribe(peer);
    deliver('a');
    hub.disconnect(peer);
    hub.flush();
    expect(peer.written).toEqual([]);
  });
});

describe('a reader', () => {
  const large = 'x'.repeat(BOUND);

  function behind(): Peer {
    const peer = connect(1);
    subscribe(peer);
    deliver('first');
    deliver(large);
    hub.flush();
    return peer;
  }

  it('at its bound is not behind', () => {
    const peer = connect(1);
    subscribe(peer);
    deliver(large);
    hub.flush();
    nowMs += 60_000;
    expect(hub.checkBehind()).toBe(0);
    expect(peer.wasCut).toBe(false);
  });

  it('above its bound is waited for while it drains, and cut after two seconds', () => {
    const peer = behind();
    expect(hub.checkBehind()).toBeGreaterThan(0);
    nowMs += 501;
    expect(hub.checkBehind()).toBe(0);
    nowMs += 1_498;
    hub.checkBehind();
    expect(peer.wasCut).toBe(false);
    nowMs += 1;
    hub.checkBehind();
    expect(peer.wasCut).toBe(true);
    expect(hub.hasSubscribers('db:posts')).toBe(false);
    expect(hub.connectionCount).toBe(0);
  });

  it('that caught up has its two seconds again', () => {
    const peer = behind();
    nowMs += 1_900;
    peer.drain(10);
    hub.checkBehind();
    deliver('y'.repeat(BOUND * 2));
    peer.drain(0);
    hub.flush();
    nowMs += 1_900;
    hub.checkBehind();
    expect(peer.wasCut).toBe(false);
  });

  it('that caught up between two looks has its two seconds again as well', () => {
    const peer = behind();
    nowMs += 100;
    peer.drain(2);
    nowMs += 60_000;
    for (let i = 0; i < 3; i++) deliver('y'.repeat(300_000));
    hub.flush();
    expect(peer.outbox.queuedBytes).toBeGreaterThan(BOUND);
    hub.checkBehind();
    expect(peer.wasCut).toBe(false);
  });

  it('far above its bound is cut at once if it stands still', () => {
    const peer = behind();
    nowMs += 600;
    for (let i = 0; i < 8; i++) deliver(large);
    hub.flush();
    hub.checkBehind();
    expect(peer.wasCut).toBe(true);
  });

  it('far above its bound is waited for if it drains', () => {
    const peer = behind();
    for (let i = 0; i < 8; i++) deliver(large);
    hub.flush();
    nowMs += 400;
    expect(hub.checkBehind()).toBeGreaterThan(0);
    expect(peer.wasCut).toBe(false);
  });

  it('that is cut delays and loses nothing for the others', () => {
    const peer = behind();
    const healthy = connect();
    subscribe(healthy);
    nowMs += 2_000;
    deliver('a');
    hub.flush();
    hub.checkBehind();
    deliver('b');
    hub.flush();
    expect(peer.wasCut).toBe(true);
    expect(healthy.written).toEqual(['a', 'b']);
  });

  it('is cut once, and by replies alone too', () => {
    const peer = connect(1);
    let cuts = 0;
    Object.defineProperty(peer, 'wasCut', { set: () => cuts++ });
    hub.send(peer, bytes('1'));
    hub.send(peer, bytes(large));
    hub.send(peer, bytes(large));
    nowMs += 2_000;
    hub.checkBehind();
    hub.checkBehind();
    hub.send(peer, bytes(large));
    hub.checkBehind();
    expect(cuts).toBe(1);
  });
});
