// Owns the cutting of a batch: stretches of so many bytes, which are judged and sent together, and in them
// runs of neighbours of one table version, which are encoded together.

import type { ChangeMessage } from '../changes/change-message.ts';
import type { Relation } from '../replication/relation.ts';
import { FRAME_OVERHEAD_BYTES } from './frame-variant.ts';

export type Run = {
  readonly relation: Relation;
  readonly messages: readonly ChangeMessage[];
  /** The place of the first message among those of its table version in the stretch. */
  readonly from: number;
};

/** The end of the stretch that begins at `from`, and how many bytes it has. */
export function endOfStretch(
  messages: readonly ChangeMessage[],
  from: number,
  maxBytes: number,
): { readonly to: number; readonly bytes: number } {
  let to = from;
  let bytes = 0;
  while (to < messages.length && bytes < maxBytes) {
    bytes += (messages[to++] as ChangeMessage).payload.length + FRAME_OVERHEAD_BYTES;
  }
  return { to, bytes };
}

/** The runs of a stretch, in order. */
export function runsOf(stretch: readonly ChangeMessage[]): Run[] {
  const runs: Run[] = [];
  const counts = new Map<Relation, number>();
  for (let start = 0; start < stretch.length; ) {
    const { relation } = stretch[start] as ChangeMessage;
    let end = start + 1;
    while (stretch[end]?.relation === relation) end++;
    const from = counts.get(relation) ?? 0;
    runs.push({ relation, messages: stretch.slice(start, end), from });
    counts.set(relation, from + end - start);
    start = end;
  }
  return runs;
}
