// Owns one subscriber of a case: an identity on a socket of its own, at most one subscription a table with its
// filter, and what came for each since it was last asked. What should have come is expectation.ts's.

import { type ChangeFrame, type Frame, TestClient } from '../app/test-client.ts';
import { until } from '../rig/until.ts';
import { CopyOfTable } from './copy-of-table.ts';
import { FENCE_CHANNEL } from './fence.ts';
import type { OracleTable } from './oracle-table.ts';
import type { Viewer } from './shadow-table.ts';
import type { WhereFilter } from './where-filter.ts';

export type SubscriberFilter = {
  readonly where: WhereFilter | undefined;
  readonly columns: readonly string[] | undefined;
  readonly events: readonly string[] | undefined;
};

export type Member = {
  readonly name: string;
  readonly role: string;
  readonly isAdmin: boolean;
  readonly token: string;
  readonly claims: object;
};

export type Subscription = {
  readonly table: OracleTable;
  readonly filter: SubscriberFilter;
  readonly copy: CopyOfTable;
  state: 'live' | 'ended' | 'refused';
  /** Its role could not read the table, or not what `where` names, at some moment since it began. */
  isEndExcused: boolean;
  /** Where the server said, since the last moment, that rows may be missing: above `from`, up to `to`. */
  gaps: { readonly from: string; readonly to: string }[];
};

const FENCE_TIMEOUT_MS = 30_000;

export class Subscriber {
  member: Member;
  readonly subscriptions = new Map<OracleTable, Subscription>();
  readonly #client: TestClient;
  #taken = 0;
  #asked = 0;

  static async connect(url: string, member: Member): Promise<Subscriber> {
    const client = await TestClient.connect(url, member.token);
    await client.subscribe(FENCE_CHANNEL);
    return new Subscriber(client, member);
  }

  private constructor(client: TestClient, member: Member) {
    this.#client = client;
    this.member = member;
  }

  get viewer(): Viewer {
    return { role: this.member.role, claims: JSON.stringify(this.member.claims) };
  }

  /** Goes on under another token of the same user; its subscriptions stay. */
  async renew(member: Member): Promise<void> {
    const reply = await this.#ask({ type: 'auth', token: member.token });
    if (reply.type !== 'auth_success') throw new Error(`${member.name} could not renew: ${reply.message}`);
    this.member = member;
  }

  /** Subscribes anew; gives the refusal's code, or undefined. */
  async subscribe(table: OracleTable, filter: SubscriberFilter): Promise<string | undefined> {
    const reply = await this.#ask({ type: 'subscribe', channel: table.channel, filter: frameOf(filter) });
    const state = reply.type === 'subscribed' ? 'live' : 'refused';
    this.subscriptions.set(table, {
      table,
      filter,
      copy: new CopyOfTable(table),
      state,
      isEndExcused: false,
      gaps: [],
    });
    return state === 'live' ? undefined : `${reply.code} ${reply.detail ?? ''}`;
  }

  /**
   * Waits until everything in front of fence `number` has come, and gives it: changes by subscription, in order.
   * Subscriptions that the server ended are marked. Throws when the fence does not come.
   */
  async take(number: number): Promise<Map<Subscription, ChangeFrame[]>> {
    const fence = await until(() => this.#client.frames.findLastIndex((frame) => isFence(frame, number)) + 1, {
      what: `fence ${number} at ${this.member.name}`,
      timeoutMs: FENCE_TIMEOUT_MS,
      everyMs: 5,
    });
    const frames = this.#client.frames.slice(this.#taken, fence);
    this.#taken = fence;
    const taken = new Map<Subscription, ChangeFrame[]>([...this.subscriptions.values()].map((each) => [each, []]));
    for (const frame of frames) {
      const of = [...this.subscriptions.values()].find(({ table }) => table.channel === frame.channel);
      if (of === undefined) continue;
      if (frame.type === 'message') taken.get(of)?.push(frame as ChangeFrame);
      if (frame.type === 'unsubscribed') of.state = 'ended';
      if (frame.type === 'gap') of.gaps.push({ from: String(frame.from), to: String(frame.to) });
    }
    return taken;
  }

  close(): Promise<void> {
    return this.#client.close();
  }

  /** The reply to a frame. */
  async #ask(frame: object): Promise<Frame> {
    const ref = `r${this.#asked++}`;
    this.#client.send({ ...frame, ref });
    return until(() => this.#client.frames.findLast((reply) => reply.ref === ref), { what: JSON.stringify(frame) });
  }
}

function isFence(frame: Frame, number: number): boolean {
  return (
    frame.channel === FENCE_CHANNEL && frame.type === 'message' && (frame as ChangeFrame).payload.new?.id === number
  );
}

function frameOf({ where, columns, events }: SubscriberFilter): object {
  return {
    ...(where === undefined ? {} : { where: where.json }),
    ...(columns === undefined ? {} : { columns }),
    ...(events === undefined ? {} : { event: events }),
  };
}
