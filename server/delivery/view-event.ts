// Owns what a change is for somebody who sees one, both or none of its images (design, section 5): applying
// the events to a copy keeps it equal to what a SELECT would show. Pure.

import type { RowView } from '../changes/row-encoder.ts';
import type { RowEvent } from '../protocol/client-frame.ts';

/** As a byte, so that a run of them needs no objects. */
export const HIDDEN = 0;
export const SAME = 1;
export const ENTER = 2;
export const LEAVE = 3;

/** Verdicts as policies give them: 0 no, 1 yes, 2 what the image has does not decide it. */
const YES = 1;
const NO = 0;

/**
 * How a change is told. `oldVerdict` is undefined where the stream has no old image: then a visible UPDATE stays
 * one. What cannot be judged is not told.
 */
export function viewOf(
  event: RowEvent,
  newVerdict: number | undefined,
  oldVerdict: number | undefined,
): typeof HIDDEN | typeof SAME | typeof ENTER | typeof LEAVE {
  if (event === 'INSERT') return newVerdict === YES ? SAME : HIDDEN;
  if (event === 'DELETE') return oldVerdict === YES ? SAME : HIDDEN;
  if (newVerdict === YES) return oldVerdict === NO ? ENTER : SAME;
  return oldVerdict === YES ? LEAVE : HIDDEN;
}

/** The name of a view for the encoder. */
export function rowViewOf(view: number): RowView {
  if (view === ENTER) return 'enter';
  return view === LEAVE ? 'leave' : 'same';
}

/** The event as it is delivered. */
export function deliveredEvent(event: RowEvent, view: number): RowEvent {
  if (view === ENTER) return 'INSERT';
  return view === LEAVE ? 'DELETE' : event;
}
