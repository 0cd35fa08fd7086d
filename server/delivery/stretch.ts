// Owns the cutting of a batch: stretches of so many bytes, which are judged and sent together, and in them
// runs of neighbours of one table version, or of one channel, which are encoded together.

import type { ChangeMessage, Message } from '../changes/change-message.ts';
import type { PublishedMessage } from '../changes/published-message.ts';
import { textBytes } from '../changes/translator.ts';
import type { CanonicalChannel } from '../protocol/channel-name.ts';
import type { Relation } from '../replication/relation.ts';
import { FRAME_OVERHEAD_BYTES } from './frame-variant.ts';

export type Run = ChangeRun | PublishedRun;

export type PublishedRun = {
  readonly kind: 'published';
  readonly channel: CanonicalChannel;
  readonly messages: readonly PublishedMessage[];
};

export type ChangeRun = {
  readonly kind: 'changes';
  readonly channel: CanonicalChannel;
  readonly relation: Relation;
  readonly messages: readonly ChangeMessage[];
  /** The place of the first message among those of its table version in the stretch. */
  readonly from: number;
};

/** Rows as they came, in one stretch: what is judged may be far larger than what is sent. */
const MAX_RECEIVED_BYTES = 4 * 1024 * 1024;

/** The end of the stretch that begins at `from`: so many bytes to be sent, and a bound of those received. */
export function endOfStretch(messages: readonly Message[], from: number, maxBytes: number): number {
  let to = from;
  let bytes = 0;
  let received = 0;
  while (to < messages.length && bytes < maxBytes && received < MAX_RECEIVED_BYTES) {
    const message = messages[to++] as Message;
    bytes += message.payload.length + FRAME_OVERHEAD_BYTES;
    if (message.kind === 'change' && message.row !== null) received += textBytes(message.row.entry);
  }
  return to;
}

/** The runs of a stretch, in order. */
export function runsOf(stretch: readonly Message[]): Run[] {
  const runs: Run[] = [];
  const counts = new Map<Relation, number>();
  for (let start = 0; start < stretch.length; ) {
    const first = stretch[start] as Message;
    let end = start + 1;
    while (end < stretch.length && belongTogether(first, stretch[end] as Message)) end++;
    const messages = stretch.slice(start, end);
    if (first.kind === 'published') runs.push(publishedRun(first.channel, messages));
    else runs.push(changeRun(first, messages, counts));
    start = end;
  }
  return runs;
}

/** The run without its first messages. */
export function runFrom(run: Run, start: number): Run {
  if (start === 0) return run;
  if (run.kind === 'published') return { ...run, messages: run.messages.slice(start) };
  return { ...run, messages: run.messages.slice(start), from: run.from + start };
}

function belongTogether(first: Message, next: Message): boolean {
  if (first.kind === 'published') return next.kind === 'published' && next.channel === first.channel;
  return next.kind === 'change' && next.relation === first.relation;
}

function publishedRun(channel: CanonicalChannel, messages: readonly Message[]): PublishedRun {
  return { kind: 'published', channel, messages: messages as readonly PublishedMessage[] };
}

function changeRun(
  { channel, relation }: ChangeMessage,
  messages: readonly Message[],
  counts: Map<Relation, number>,
): ChangeRun {
  const from = counts.get(relation) ?? 0;
  counts.set(relation, from + messages.length);
  return { kind: 'changes', channel, relation, messages: messages as readonly ChangeMessage[], from };
}
