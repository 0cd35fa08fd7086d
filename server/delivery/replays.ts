// Owns the subscriptions that are on their way to being live: what a `since` means to each, the work in the background
// that brings it there, and its end. Failures of the database that pass are waited out; whatever else fails ends the
// subscription, and its client is told.

import { Backlog, type HeldBytes } from '../hub/backlog.ts';
import type { GroupSpec } from '../hub/group-spec.ts';
import type { Group, Subscription } from '../hub/subscription.ts';
import { Backoff, pause } from '../lib/backoff.ts';
import type { Logger } from '../lib/logger.ts';
import { epochOf, type Position } from '../lib/position.ts';
import { justBelow } from '../messages/position-span.ts';
import type { ResumePoint, ResumePoints } from '../messages/resume-point.ts';
import type { ParsedChannel } from '../protocol/channel-name.ts';
import type { ErrorCode } from '../protocol/error-codes.ts';
import { encodeErrorFrame, encodeServerFrame } from '../protocol/server-frame.ts';
import { Replay, type ReplayDeps, type ReplayStart } from './replay.ts';
import { replayFrames } from './replay-frames.ts';
import { ReplaySource, type ReplaySourceOptions } from './replay-source.ts';
import { feedSnapshot, type SnapshotFeedDeps } from './snapshot-feed.ts';

export type ReplaysOptions = ReplayDeps &
  SnapshotFeedDeps & {
    readonly points: ResumePoints;
    readonly source: ReplaySourceOptions;
    readonly held: HeldBytes;
    /** Whether a failure of the database passes by itself. */
    readonly isPassing: (failure: unknown) => boolean;
    readonly log: Logger;
    /** Aborted when the server stops. */
    readonly signal: AbortSignal;
  };

/** What is needed of a subscription that is not there yet. */
export type ResumeQuestion = {
  readonly channel: ParsedChannel;
  readonly since: string;
  readonly spec: GroupSpec;
  /** Null for channels that are no table. */
  readonly tableOid: number | null;
};

export type ReplayWay = { readonly kind: 'replay'; readonly after: Position } | { readonly kind: 'snapshot' };

const RETRY = { initialMs: 100, maxMs: 5_000 };

export class Replays {
  readonly #options: ReplaysOptions;
  readonly #running = new Set<Promise<void>>();

  constructor(options: ReplaysOptions) {
    this.#options = options;
  }

  /** How many subscriptions are on their way. */
  get size(): number {
    return this.#running.size;
  }

  /** What a `since` means. Rejects when the database cannot be asked. */
  async find({ channel, since, spec, tableOid }: ResumeQuestion): Promise<ResumePoint> {
    const delivered = this.#options.progress.delivered.position;
    const epoch = delivered === undefined ? undefined : epochOf(delivered);
    const point = await this.#options.points.find(channel, since, epoch);
    if (point.kind !== 'from') return point;
    if (point.isById && tableOid !== null && !(await this.#isSeen(channel, spec, tableOid, point.position))) {
      return { kind: 'unrecovered', reason: 'unknown' };
    }
    return point;
  }

  /** What a subscription begins with that is not live at once. */
  backlog(): Backlog {
    return new Backlog(this.#options.held);
  }

  /** Brings a subscription that began with a backlog to being live, in the background. */
  begin(subscription: Subscription, tableOid: number | null, way: ReplayWay): void {
    const running = this.#bring(subscription, tableOid, way)
      .catch((err: unknown) => this.#giveUp(subscription, err))
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  /** Resolves when nothing is under way any more. The signal has to be aborted. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#running]);
  }

  async #bring(subscription: Subscription, tableOid: number | null, way: ReplayWay): Promise<void> {
    const start = way.kind === 'replay' ? { after: way.after } : await this.#snapshot(subscription);
    if (start === undefined) return;
    const source = new ReplaySource(
      this.#options.source,
      subscription.group.channel as ParsedChannel['canonical'],
      tableOid,
    );
    const replay = new Replay(this.#options, source, subscription, start, this.#options.signal);
    await this.#patiently(() => replay.run());
  }

  /** Undefined where nothing follows it. */
  async #snapshot(subscription: Subscription): Promise<ReplayStart | undefined> {
    const { signal } = this.#options;
    const end = await this.#patiently(() => feedSnapshot(this.#options, subscription, signal));
    if (end?.kind === 'sent') return end.start;
    if (end?.kind !== 'failed') return undefined;
    // Rows were sent already: it cannot be tried again here, but whoever asks again will get them.
    const isPassing = end.cause !== undefined && this.#options.isPassing(end.cause);
    this.#end(subscription, 'snapshot_failed', isPassing ? 'unavailable' : 'snapshot_unavailable', end.message);
    return undefined;
  }

  // Whoever waits here is told by `system` that the stream stalls, and is behind: nothing is missed.
  async #patiently<T>(work: () => Promise<T>): Promise<T | undefined> {
    const { signal, isPassing, log } = this.#options;
    const backoff = new Backoff(RETRY);
    while (!signal.aborted) {
      try {
        return await work();
      } catch (err) {
        if (signal.aborted) return undefined;
        if (!isPassing(err)) throw err;
        log.warn({ err }, 'a replay waits for the database');
      }
      await pause(backoff.next(), signal);
    }
    return undefined;
  }

  #giveUp(subscription: Subscription, err: unknown): void {
    this.#options.log.error({ err, channel: subscription.channel }, 'a replay failed');
    this.#end(subscription, 'replay_failed', 'internal', 'Internal error');
  }

  #end(
    subscription: Subscription,
    reason: 'snapshot_failed' | 'replay_failed',
    code: ErrorCode,
    message: string,
  ): void {
    const { hub } = this.#options;
    const { connection, id, group } = subscription;
    if (!connection.subscriptions.has(id)) return;
    const channel = group.spec.channelName;
    const { dialect } = connection;
    hub.unsubscribe(subscription);
    hub.send(connection, encodeErrorFrame({ code, message }, { channel }, dialect));
    hub.send(connection, encodeServerFrame({ type: 'unsubscribed', channel, subscriptionId: id, reason }, dialect));
  }

  /** Whether the change at `position` is told to such a subscriber at all. */
  async #isSeen({ canonical }: ParsedChannel, spec: GroupSpec, tableOid: number, position: Position): Promise<boolean> {
    const source = new ReplaySource(this.#options.source, canonical, tableOid);
    const slice = await source.read({ after: justBelow(position), until: position, limit: 1 }, undefined);
    if (slice === undefined || slice.messages.length === 0) return false;
    const group: Group = { channel: canonical, key: '', spec: { ...spec, events: null }, members: new Set() };
    const { frames } = await replayFrames(slice.messages, '', group, this.#options, this.#options.signal);
    return frames.length > 0;
  }
}
