// Owns the way of one subscription from a position in history to being live, without gap or duplicate: it reads history to
// its end, holds what is delivered from then on, reads what the journal still had to write, sends what was held, and
// is live in the turn in which nothing is left. All of it waits for the reader; nothing waits for it.

import type { Backlog } from '../hub/backlog.ts';
import type { Hub } from '../hub/hub.ts';
import type { Subscription } from '../hub/subscription.ts';
import { must } from '../lib/assert.ts';
import { pause } from '../lib/backoff.ts';
import { epochOf, type Position } from '../lib/position.ts';
import type { TransactionSnapshot } from '../lib/transaction-snapshot.ts';
import { encodeServerFrame } from '../protocol/server-frame.ts';
import { type ReplayFramesDeps, replayFrames } from './replay-frames.ts';
import type { ReplayedSlice, ReplaySource } from './replay-source.ts';
import type { ReplayTurns } from './replay-turns.ts';
import type { StreamProgress } from './stream-progress.ts';
import { endOfStretch } from './stretch.ts';

export type ReplayDeps = ReplayFramesDeps & {
  readonly hub: Hub;
  readonly turns: ReplayTurns;
  readonly progress: Pick<StreamProgress, 'delivered' | 'journaled'>;
  /** So many bytes of frames are sent before the socket is looked after. */
  readonly maxStretchBytes: number;
  readonly counters: {
    replayed(messages: number): void;
    /** Held messages did not fit: history is read again. */
    overflown(): void;
  };
};

export type ReplayStart = {
  /** Everything behind it is sent. */
  readonly after: Position;
  /** What a snapshot has shown already. */
  readonly contained?: TransactionSnapshot | undefined;
  /** All that `contained` holds lies at or below it. */
  readonly containedTo?: Position | undefined;
};

/** A socket that has more than this waiting is not given more. */
export const LOW_BYTES = 128 * 1024;
const FIRST_ROWS = 50;
const MOST_ROWS = 1_000;
const SLICE_BYTES = 256 * 1024;
/** How soon a change is looked at again that not everybody can see yet. */
const UNSEEN_LOOK_MS = 5;
const GONE_LOOK_MS = 250;

export class Replay {
  readonly #deps: ReplayDeps;
  readonly #source: ReplaySource;
  readonly #subscription: Subscription;
  readonly #start: ReplayStart;
  readonly #signal: AbortSignal;
  #cursor: Position;
  #toldFloor: Position | undefined;
  #limit = FIRST_ROWS;

  constructor(
    deps: ReplayDeps,
    source: ReplaySource,
    subscription: Subscription,
    start: ReplayStart,
    signal: AbortSignal,
  ) {
    this.#deps = deps;
    this.#source = source;
    this.#subscription = subscription;
    this.#start = start;
    this.#signal = signal;
    this.#cursor = start.after;
  }

  /** Resolves when the subscription is live or has ended. May be run again where it rejected: it goes on from there. */
  async run(): Promise<void> {
    const { delivered, journaled } = this.#deps.progress;
    for (;;) {
      this.#backlog?.close();
      await this.#readTo(undefined);
      // What was delivered before the subscription began, or is in the snapshot, must not be held: it would come twice.
      await delivered.until(later(this.#cursor, this.#start.containedTo), this.#signal);
      if (this.#isOver) return;
      const heldFrom = must(delivered.position, 'the delivered position');
      this.#backlog?.hold();
      await journaled.until(heldFrom, this.#signal);
      await this.#readTo(heldFrom);
      this.#cursor = later(this.#cursor, heldFrom);
      if (this.#isOver || (await this.#sendHeld())) return;
    }
  }

  get #backlog(): Backlog | null {
    return this.#subscription.backlog;
  }

  get #isOver(): boolean {
    const { id, connection, backlog } = this.#subscription;
    return this.#signal.aborted || backlog === null || !connection.subscriptions.has(id);
  }

  /** Sends history up to `until`, or to its end of the moment. */
  async #readTo(until: Position | undefined): Promise<void> {
    while (!this.#isOver) {
      await this.#subscription.connection.outbox.whenBelow(LOW_BYTES);
      const question = { after: this.#cursor, until, limit: this.#limit };
      const slice = await this.#inTurn(() => this.#source.read(question, this.#start.contained));
      // Without a table the review ends the subscription.
      if (slice === undefined) await pause(GONE_LOOK_MS, this.#signal);
      else if (await this.#sendSlice(this.#withinEpoch(slice))) return;
    }
  }

  // Another server that leads meanwhile may have begun an epoch, of which this one's clients have not been told yet:
  // nothing of it may come before that. For them, history ends with the epoch that was delivered last.
  #withinEpoch(slice: ReplayedSlice): ReplayedSlice {
    const told = epochOf(must(this.#deps.progress.delivered.position, 'the delivered position'));
    if (slice.last === undefined || epochOf(slice.last) <= told) return slice;
    const messages = slice.messages.filter(({ position }) => epochOf(position) <= told);
    return { ...slice, messages, last: messages.at(-1)?.position, isEnd: true };
  }

  /** True where nothing is left to be read. */
  async #sendSlice({ messages, last, floor, isEnd }: ReplayedSlice): Promise<boolean> {
    if (floor !== null && this.#cursor < floor && floor !== this.#toldFloor) this.#tellLoss(floor as Position);
    for (let from = 0; from < messages.length && !this.#isOver; ) {
      const to = endOfStretch(messages, from, this.#deps.maxStretchBytes);
      await this.#sendStretch(messages.slice(from, to));
      from = to;
    }
    if (last !== undefined) this.#cursor = last;
    if (isEnd) return true;
    if (last === undefined) await pause(UNSEEN_LOOK_MS, this.#signal);
    this.#adapt(messages);
    return false;
  }

  // Whoever takes on another identity, or is joined by a second subscription, belongs to another group from then on.
  async #sendStretch(messages: ReplayedSlice['messages']): Promise<void> {
    const { connection } = this.#subscription;
    await connection.outbox.whenBelow(LOW_BYTES);
    for (;;) {
      const { group } = this.#subscription;
      const sent = await this.#inTurn(() => replayFrames(messages, connection.id, group, this.#deps, this.#signal));
      if (this.#isOver || sent === undefined) return;
      if (this.#subscription.group !== group) continue;
      if (sent.frames.length > 0) this.#deps.hub.send(connection, Buffer.concat(sent.frames));
      const last = messages[messages.length - 1]?.position as Position;
      if (sent.isWithheld) this.#tell('not_judged', this.#cursor, last);
      this.#deps.counters.replayed(sent.frames.length);
      this.#cursor = last;
      return;
    }
  }

  /** True once it is live. What came after the last look is held in the meantime; false if it did not fit. */
  async #sendHeld(): Promise<boolean> {
    const { hub, progress } = this.#deps;
    const { connection } = this.#subscription;
    for (;;) {
      const backlog = this.#backlog;
      if (this.#isOver || backlog === null) return true;
      if (backlog.state !== 'held') return this.#noteOverflow();
      // In one turn: all that was delivered up to here is taken.
      const taken = backlog.takeAll();
      const reached = must(progress.delivered.position, 'the delivered position');
      if (taken.length === 0) return this.#goLive(reached);
      for (const chunk of taken) {
        await connection.outbox.whenBelow(LOW_BYTES);
        if (this.#isOver) return true;
        hub.send(connection, chunk);
        backlog.sent();
      }
      this.#cursor = reached;
    }
  }

  #noteOverflow(): false {
    this.#deps.counters.overflown();
    return false;
  }

  #goLive(position: Position): true {
    const { hub } = this.#deps;
    const { connection, id, group } = this.#subscription;
    hub.goLive(this.#subscription);
    const live = { type: 'live', channel: group.spec.channelName, subscriptionId: id, position } as const;
    hub.send(connection, encodeServerFrame(live, connection.dialect));
    return true;
  }

  /** Some of what was behind the cursor has been removed since it was found to be whole. */
  #tellLoss(floor: Position): void {
    this.#tell('retention', this.#cursor, floor);
    this.#toldFloor = floor;
  }

  #tell(reason: 'retention' | 'not_judged', from: Position, to: Position): void {
    const { id: subscriptionId, connection, group } = this.#subscription;
    const channel = group.spec.channelName;
    const gap = { type: 'gap', channel, subscriptionId, reason, from, to } as const;
    this.#deps.hub.send(connection, encodeServerFrame(gap, connection.dialect));
  }

  /** As many rows as fit, going by the last ones. */
  #adapt(messages: ReplayedSlice['messages']): void {
    if (messages.length === 0) return;
    const bytes = messages.reduce((sum, { payload }) => sum + payload.length, 0) / messages.length;
    this.#limit = Math.max(1, Math.min(MOST_ROWS, Math.floor(SLICE_BYTES / Math.max(bytes, 1))));
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T | undefined> {
    const release = await this.#deps.turns.take(this.#subscription.connection.id, this.#signal);
    try {
      return release === undefined || this.#isOver ? undefined : await work();
    } finally {
      release?.();
    }
  }
}

function later(a: Position, b: Position | undefined): Position {
  return b === undefined || a > b ? a : b;
}
