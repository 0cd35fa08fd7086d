import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import * as ws from 'ws';
import { makeIdentity } from '../../server/auth/make-identity.ts';
import type { ChangeMessage } from '../../server/changes/change-message.ts';
import type { Audience, GroupView } from '../../server/delivery/audience.ts';
import { fanOut } from '../../server/delivery/fan-out.ts';
import { Connection } from '../../server/hub/connection.ts';
import { Hub } from '../../server/hub/hub.ts';
import type { Group } from '../../server/hub/subscription.ts';
import { formatPosition, toEpoch, toLsn } from '../../server/lib/position.ts';
import type { CanonicalChannel } from '../../server/protocol/channel-name.ts';
import { ROW_EVENTS, type RowEvent } from '../../server/protocol/client-frame.ts';
import type { Relation } from '../../server/replication/relation.ts';

const CHANNEL = 'db:posts' as CanonicalChannel;
const admin = makeIdentity({ role: 'service_role', isAdmin: true, claims: {} });
const user = makeIdentity({ role: 'authenticated', isAdmin: false, claims: { sub: 'u' } });
const RELATION: Relation = { oid: 1, schema: 'public', name: 'posts', identity: 'key', columns: [] };
const WHOLE: GroupView = { views: null, mask: null, isWithheld: false };
const EVERYONE = { view: () => WHOLE };

type Wanted = { readonly channelName: string; readonly events: readonly RowEvent[] | null; readonly isAdmin: boolean };
type Frame = {
  readonly channel: string;
  readonly event: string;
  readonly position: string;
  readonly subscriptionId?: string;
};

function message(event: RowEvent, index: number): ChangeMessage {
  const position = formatPosition({ epoch: toEpoch(1), lsn: toLsn(8n), index });
  return {
    kind: 'change',
    channel: CHANNEL,
    relation: RELATION,
    transaction: { epoch: toEpoch(1), lsn: toLsn(8n), xid: 7, commitMicros: 0n },
    event,
    position,
    messageId: `id-${index}`,
    timestamp: 't',
    payload: Buffer.from(`{"index":${index}}`),
    oldImage: null,
    newImage: null,
    row: null,
  };
}

/** Connections with the given subscriptions, and what each of them was written. */
function connected(hub: Hub, wanted: readonly (readonly Wanted[])[]) {
  return wanted.map((subscriptions, which) => {
    const writes: Uint8Array[] = [];
    const sink = { write: (bytes: Uint8Array) => writes.push(bytes) > 0 };
    const options = { id: `c${which}`, identity: admin, sink, onTooSlow: () => undefined, now: () => 0 };
    const connection = new Connection(options);
    hub.connect(connection);
    const ids = subscriptions.map(({ channelName, events, isAdmin }, index) => {
      const identity = isAdmin ? admin : user;
      const spec = {
        dialect: 'rowcast' as const,
        channelName,
        events: events === null ? null : new Set(events),
        filter: null,
        identity,
      };
      return hub.subscribe({ id: `s${which}.${index}`, connection, channel: CHANNEL, spec }).id;
    });
    return { ids, subscriptions, writes };
  });
}

function fanOutOf(hub: Hub, messages: readonly ChangeMessage[], audience: Pick<Audience, 'view'>): number[] {
  const run = { kind: 'changes' as const, channel: CHANNEL, relation: RELATION, messages, from: 0 };
  return [...fanOut({ hub, maxPayloadBytes: 1e6 }, run, audience).counts];
}

function newHub(): Hub {
  return new Hub({ maxQueuedBytes: 1e9, tooSlowAfterMs: 1, drainingWithinMs: 1, hardBoundFactor: 8, now: () => 0 });
}

/** What the receiving end of another implementation reads. */
async function read(writes: readonly Uint8Array[]): Promise<Frame[]> {
  const { Receiver } = ws as unknown as { Receiver: new (options: object) => NodeJS.WritableStream };
  const frames: Frame[] = [];
  const receiver = new Receiver({ isServer: false });
  receiver.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString())));
  await new Promise<void>((resolve) => receiver.end(Buffer.concat(writes), () => resolve()));
  return frames;
}

const events = fc.option(fc.subarray([...ROW_EVENTS], { minLength: 1 }), { nil: null });
const wanteds = fc.record({
  channelName: fc.constantFrom('db:posts', 'db:public.posts', 'db:"posts"'),
  events,
  isAdmin: fc.boolean(),
});
const runs = fc
  .array(fc.constantFrom(...ROW_EVENTS), { minLength: 1, maxLength: 20 })
  .map((list) => list.map((event, index) => message(event, index)));
const clients = fc.array(fc.array(wanteds, { maxLength: 4 }), { minLength: 1, maxLength: 5 });

describe('a fan-out', () => {
  it('gives each connection what its subscriptions want, in commit order, and counts it', async () => {
    await fc.assert(
      fc.asyncProperty(clients, runs, async (wanted, run) => {
        const hub = newHub();
        const peers = connected(hub, wanted);
        const counts = fanOutOf(hub, run, EVERYONE);
        hub.flush();
        const all = wanted.flat();
        expect(counts).toEqual(
          run.map(({ event }) => all.filter((each) => each.events?.includes(event) ?? true).length),
        );
        for (const { ids, subscriptions, writes } of peers) {
          expect(writes.length).toBeLessThanOrEqual(1);
          const frames = await read(writes);
          expect(frames.map(({ position }) => position)).toEqual(frames.map(({ position }) => position).sort());
          const due = run.flatMap(({ event, position }) =>
            subscriptions.flatMap(({ events, channelName }, index) => {
              if (events !== null && !events.includes(event)) return [];
              const named = ids.length > 1 ? { subscriptionId: ids[index] } : {};
              return [{ channel: channelName, event, position, ...named }];
            }),
          );
          const sortKey = (frame: object): string =>
            JSON.stringify(frame, ['position', 'subscriptionId', 'channel', 'event']);
          const got = frames.map(({ channel, event, position, subscriptionId }) =>
            subscriptionId === undefined ? { channel, event, position } : { channel, event, position, subscriptionId },
          );
          expect(got.map(sortKey).sort()).toEqual(due.map(sortKey).sort());
        }
      }),
    );
  });

  it('gives nothing to those who may not see it', async () => {
    const hub = newHub();
    const both = { channelName: 'db:posts', events: null };
    const [first, second] = connected(hub, [[{ ...both, isAdmin: true }], [{ ...both, isAdmin: false }]]);
    const view = (group: Group): GroupView | undefined => (group.spec.identity.isAdmin ? WHOLE : undefined);
    const counts = fanOutOf(hub, [message('INSERT', 0)], { view });
    hub.flush();
    expect(counts).toEqual([1]);
    expect(await read(first?.writes ?? [])).toMatchObject([
      { type: 'message', payload: { index: 0 }, messageId: 'id-0' },
    ]);
    expect(second?.writes).toEqual([]);
  });

  it('shares the bytes of a run among all who get the same', () => {
    const hub = newHub();
    const same = { channelName: 'db:posts', events: null, isAdmin: true };
    const peers = connected(hub, [[same], [same], [{ ...same, isAdmin: false }]]);
    fanOutOf(hub, [message('INSERT', 0), message('UPDATE', 1)], EVERYONE);
    hub.flush();
    const [a, b, c] = peers.map(({ writes }) => writes[0]);
    expect(a).toBe(b);
    expect(a?.buffer).toBe(c?.buffer);
  });
});
