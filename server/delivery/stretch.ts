// Owns the cutting of a batch: stretches of so many bytes, which are judged and sent together, and in them
// runs of neighbours of one table version, which are encoded together.

import type { ChangeMessage } from '../changes/change-message.ts';
import { textBytes } from '../changes/translator.ts';
import type { Relation } from '../replication/relation.ts';
import { FRAME_OVERHEAD_BYTES } from './frame-variant.ts';

export type Run = {
  readonly relation: Relation;
  readonly messages: readonly ChangeMessage[];
  /** The place of the first message among those of its table version in the stretch. */
  readonly from: number;
};

/** Rows as they came, in one stretch: what is judged may be far larger than what is sent. */
const MAX_RECEIVED_BYTES = 4 * 1024 * 1024;

/** The end of the stretch that begins at `from`: so many bytes to be sent, and a bound of those received. */
export function endOfStretch(messages: readonly ChangeMessage[], from: number, maxBytes: number): number {
  let to = from;
  let bytes = 0;
  let received = 0;
  while (to < messages.length && bytes < maxBytes && received < MAX_RECEIVED_BYTES) {
    const message = messages[to++] as ChangeMessage;
    bytes += message.payload.length + FRAME_OVERHEAD_BYTES;
    received += message.row === null ? 0 : textBytes(message.row.entry);
  }
  return to;
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
