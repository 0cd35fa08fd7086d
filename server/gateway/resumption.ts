// Owns how a subscription begins that asks for what it missed, or for the rows that are there: what its `since` and
// `snapshot` come to, and what the reply says of it. The work itself is delivery's.

import type { Backlog } from '../hub/backlog.ts';
import type { GroupSpec } from '../hub/group-spec.ts';
import type { Subscription } from '../hub/subscription.ts';
import { epochOf, type Position, parsePosition } from '../lib/position.ts';
import type { ResumePoint } from '../messages/resume-point.ts';
import type { ParsedChannel } from '../protocol/channel-name.ts';
import type { SubscribeFrame } from '../protocol/client-frame.ts';
import type { Refusal } from '../protocol/error-codes.ts';
import type { UnrecoveredReason } from '../protocol/server-frame.ts';
import { isUuid } from './uuid-schema.ts';

export type ReplayWay = { readonly kind: 'replay'; readonly after: Position } | { readonly kind: 'snapshot' };

/** Who brings subscriptions to being live. */
export interface Resumption {
  /** What a `since` means for such a subscription. Rejects when the database cannot be asked. */
  find(question: {
    readonly channel: ParsedChannel;
    readonly since: string;
    readonly spec: GroupSpec;
    readonly tableOid: number | null;
  }): Promise<ResumePoint>;
  /** Whether history is kept of a table. */
  isKept(canonical: string): boolean;
  /** What a subscription begins with that is not live at once. */
  backlog(): Backlog;
  /** Works in the background until the subscription is live or has ended. */
  begin(subscription: Subscription, tableOid: number | null, way: ReplayWay): void;
}

/** What the reply says. */
export type Recovery = { readonly recovered?: boolean; readonly reason?: UnrecoveredReason };

export type Beginning =
  | { readonly ok: true; readonly way: ReplayWay | { readonly kind: 'live' }; readonly recovery: Recovery }
  | { readonly ok: false; readonly refusal: Refusal };

export type BeginningDeps = {
  readonly resumption: Resumption;
  /** Whether what a database call rejected with is a failure that passes. */
  readonly isPassing: (failure: unknown) => boolean;
};

/** How the subscription of `frame` begins. `spec` is what it will be. */
export async function planBeginning(
  { since, snapshot }: SubscribeFrame,
  about: { readonly channel: ParsedChannel; readonly spec: GroupSpec; readonly tableOid: number | null },
  { resumption, isPassing }: BeginningDeps,
): Promise<Beginning> {
  const fault = findFault(since, snapshot === true, about.channel, resumption);
  if (fault !== undefined) return { ok: false, refusal: fault };
  const rest = snapshot === true ? SNAPSHOT : LIVE;
  if (since === undefined) return { ok: true, way: rest, recovery: {} };
  try {
    const point = await resumption.find({ ...about, since });
    if (point.kind === 'unsettled') return UNSETTLED;
    if (point.kind === 'unrecovered')
      return { ok: true, way: rest, recovery: { recovered: false, reason: point.reason } };
    return { ok: true, way: { kind: 'replay', after: point.position }, recovery: { recovered: true } };
  } catch (error) {
    if (!isPassing(error)) throw error;
    return { ok: false, refusal: { code: 'unavailable', message: 'History cannot be read at the moment' } };
  }
}

const UNSETTLED: Beginning = {
  ok: false,
  refusal: { code: 'unavailable', message: 'A new epoch begins: what was missed cannot be told yet' },
};
const LIVE = { kind: 'live' } as const;
const SNAPSHOT = { kind: 'snapshot' } as const;

/**
 * The same beginning at `position`, where delivery stands when the subscription is made. An epoch that has begun since it
 * was planned was told before there was somebody to hear of it.
 */
export function settledAt(
  position: Position,
  snapshot: boolean,
  beginning: Extract<Beginning, { ok: true }>,
): Extract<Beginning, { ok: true }> {
  const { way } = beginning;
  if (way.kind !== 'replay' || epochOf(way.after) === epochOf(position)) return beginning;
  return { ok: true, way: snapshot ? SNAPSHOT : LIVE, recovery: { recovered: false, reason: 'epoch_changed' } };
}

function findFault(
  since: string | undefined,
  snapshot: boolean,
  { kind, canonical }: ParsedChannel,
  resumption: Resumption,
): Refusal | undefined {
  if (since !== undefined && parsePosition(since) === undefined && !isUuid(since)) {
    return { code: 'bad_since', message: 'since is a position or a messageId' };
  }
  if (!snapshot) return undefined;
  if (kind !== 'table') return { code: 'snapshot_unavailable', message: 'Only tables have snapshots' };
  if (resumption.isKept(canonical)) return undefined;
  return { code: 'snapshot_unavailable', message: 'A snapshot needs the history of its table, which is not kept' };
}
