// Owns what one subscription gets of messages that come from history: judged by the rules of now and encoded as they
// would be live, by the same pieces.

import type { Message } from '../changes/change-message.ts';
import type { Group } from '../hub/subscription.ts';
import { Audience, type Judge } from './audience.ts';
import { silentFor, wantedView } from './fan-out.ts';
import { FrameVariant } from './frame-variant.ts';
import { type Run, runsOf } from './stretch.ts';
import { HIDDEN } from './view-event.ts';
import type { Viewers } from './viewers.ts';

export type ReplayFrames = {
  readonly frames: readonly Uint8Array[];
  /** Rows may be missing, and the subscriber has to be told. */
  readonly isWithheld: boolean;
};

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
  { judge, viewers, maxPayloadBytes }: ReplayFramesDeps,
  signal: AbortSignal,
): Promise<ReplayFrames> {
  const runs = runsOf(messages);
  const audience = new Audience(runs, viewers, () => [group]);
  while (audience.isOpen) await audience.judge(judge, signal);
  const views = runs.map((run) => ({ run, view: audience.view(group, run) }));
  const frames = views.flatMap(({ run, view }) =>
    view === undefined ? [] : framesOf(run, { group, view }, connectionId, maxPayloadBytes),
  );
  return { frames, isWithheld: views.some(({ view }) => view?.isWithheld === true) };
}

function framesOf(
  run: Run,
  receiver: Parameters<typeof wantedView>[0],
  connectionId: string,
  maxPayloadBytes: number,
): Uint8Array[] {
  const { channelName, subscriptionId } = receiver.group.spec;
  const variant = { channelName, subscriptionId, mask: receiver.view.mask, maxPayloadBytes };
  const frames = new FrameVariant(run.messages, variant);
  return run.messages.flatMap((message, index) => {
    const view = wantedView(receiver, message, index);
    if (view === HIDDEN || silentFor(receiver, message) === connectionId) return [];
    return [frames.frame(index, view)];
  });
}
