// Owns what one subscription gets of messages that come from history: judged by the rules of now and encoded as they
// would be live, by the same pieces. Webhooks with a role get theirs in the same way, and take the bare payloads.

import type { Message } from '../changes/change-message.ts';
import type { Group } from '../hub/subscription.ts';
import { Audience, type GroupView, type Judge } from './audience.ts';
import { silentFor, wantedView } from './fan-out.ts';
import { eventOf, FrameVariant } from './frame-variant.ts';
import { type Run, runsOf } from './stretch.ts';
import { HIDDEN } from './view-event.ts';
import type { Viewers } from './viewers.ts';

export type ReplayFrames = {
  readonly frames: readonly Uint8Array[];
  /** Rows may be missing, and the subscriber has to be told. */
  readonly isWithheld: boolean;
};

/** One message as its identity gets it; `withheld` where it could not be judged. */
export type ToldMessage = { readonly position: string } & (
  | { readonly kind: 'shown'; readonly event: string; readonly payload: Uint8Array }
  | { readonly kind: 'hidden' }
  | { readonly kind: 'withheld' }
);

type JudgedRun = { readonly run: Run; readonly view: GroupView | undefined };
type Receiving = { readonly group: Group; readonly view: GroupView };

export type ReplayFramesDeps = {
  readonly judge: Judge;
  readonly viewers: Viewers;
  /** Payloads above this are cut to the key. */
  readonly maxPayloadBytes: number;
};

/** The frames of `messages` for a member of `group` on the connection `connectionId`. Rejects when the database cannot be asked. */
export async function replayFrames(
  messages: readonly Message[],
  connectionId: string,
  group: Group,
  deps: ReplayFramesDeps,
  signal: AbortSignal,
): Promise<ReplayFrames> {
  const views = await viewsOf(messages, group, deps, signal);
  const frames = views.flatMap((judged) => framesOf(judged, group, connectionId, deps.maxPayloadBytes));
  return { frames, isWithheld: views.some(({ view }) => view?.isWithheld === true) };
}

/** What the identity of `group` gets of each of `messages`, bare. Rejects when the database cannot be asked. */
export async function toldMessages(
  messages: readonly Message[],
  group: Group,
  deps: ReplayFramesDeps,
  signal: AbortSignal,
): Promise<ToldMessage[]> {
  const views = await viewsOf(messages, group, deps, signal);
  return views.flatMap((judged) => toldOf(judged, group, deps.maxPayloadBytes));
}

async function viewsOf(
  messages: readonly Message[],
  group: Group,
  { judge, viewers }: ReplayFramesDeps,
  signal: AbortSignal,
): Promise<JudgedRun[]> {
  const runs = runsOf(messages);
  const audience = new Audience(runs, viewers, () => [group]);
  while (audience.isOpen) await audience.judge(judge, signal);
  return runs.map((run) => ({ run, view: audience.view(group, run) }));
}

function framesOf({ run, view }: JudgedRun, group: Group, connectionId: string, maxPayloadBytes: number): Uint8Array[] {
  if (view === undefined) return [];
  const receiver = { group, view };
  const frames = variantOf(run, receiver, maxPayloadBytes);
  return run.messages.flatMap((message, index) => {
    const told = wantedView(receiver, message, index);
    if (told === HIDDEN || silentFor(receiver, message) === connectionId) return [];
    return [frames.frame(index, told)];
  });
}

function toldOf({ run, view }: JudgedRun, group: Group, maxPayloadBytes: number): ToldMessage[] {
  const frames = view === undefined ? undefined : variantOf(run, { group, view }, maxPayloadBytes);
  return run.messages.map((message, index) => {
    const told = view === undefined ? HIDDEN : wantedView({ group, view }, message, index);
    const { position } = message;
    if (told !== HIDDEN && frames !== undefined)
      return { kind: 'shown', position, event: eventOf(message, told), payload: frames.payload(index, told) };
    return { kind: view?.isWithheld === true ? 'withheld' : 'hidden', position };
  });
}

function variantOf(run: Run, { group, view }: Receiving, maxPayloadBytes: number): FrameVariant {
  const { dialect, channelName, subscriptionId } = group.spec;
  return new FrameVariant(run.messages, { dialect, channelName, subscriptionId, mask: view.mask, maxPayloadBytes });
}
