// Owns the span of positions that is walked: the narrowest of what was asked for, of where something can lie, and of where
// the last stretch ended. Both ends belong to it, so an excluded position is said by the text next to it: all positions
// have one length and ASCII alone, and are compared as text.

import { type HistoryFilter, type HistoryOrder, positionOf } from './history-query.ts';
import type { PositionRange } from './history-scope.ts';

/** Texts, not always positions. */
export type PositionSpan = { readonly low: string | undefined; readonly high: string | undefined };

type Walk = { readonly order: HistoryOrder; readonly behind: string | undefined };

export function spanOf(
  { since, until }: HistoryFilter,
  range: PositionRange | undefined,
  { order, behind }: Walk,
): PositionSpan {
  const lows = [positionOf(since), order === 'asc' ? behind : undefined].filter(isGiven).map(justAbove);
  const highs = [positionOf(until), order === 'desc' ? behind : undefined].filter(isGiven).map(justBelow);
  return {
    low: [...lows, range?.first].filter(isGiven).sort().at(-1),
    high: [...highs, range?.last].filter(isGiven).sort().at(0),
  };
}

/** Above `position` and below every higher one. */
export function justAbove(position: string): string {
  return `${position} `;
}

/** Below `position` and above every lower one. */
export function justBelow(position: string): string {
  return `${position.slice(0, -1)}${String.fromCharCode(position.charCodeAt(position.length - 1) - 1)}~`;
}

function isGiven(text: string | undefined): text is string {
  return text !== undefined;
}
