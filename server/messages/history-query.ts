// Owns what may be asked of history: a page of it, by filters, and statistics of a window. Names and ids have been checked by
// whoever asks; access has not.

import type { CanonicalChannel } from '../protocol/channel-name.ts';
import type { HistoryBound } from './history-bound.ts';

export type HistoryOrder = 'asc' | 'desc';

/** All that is given has to hold. */
export type HistoryFilter = {
  /** Of a configured channel. */
  readonly channelId?: string | undefined;
  /** A concrete name. */
  readonly channel?: CanonicalChannel | undefined;
  readonly eventName?: string | undefined;
  readonly senderId?: string | undefined;
  /** From this time on, or behind this position. */
  readonly since?: HistoryBound | undefined;
  /** Before this time or position. */
  readonly until?: HistoryBound | undefined;
};

export type HistoryQuery = HistoryFilter & {
  readonly order: HistoryOrder;
  readonly limit: number;
  readonly offset: number;
};

export type StatsQuery = {
  readonly channelId?: string | undefined;
  /** Times, RFC 3339. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
};

export type HistoryStats = {
  readonly totalMessages: number;
  readonly whDeliveryRate: number;
  readonly topEvents: readonly { readonly eventName: string; readonly count: number }[];
  readonly whAudience: number;
  readonly whDelivered: number;
};

/** The channel of a table's row changes begins with this. */
export const TABLE_PREFIX = 'db:';

/** The time of a bound; undefined where it is a position, or none. */
export function timeOf(bound: HistoryBound | undefined): string | undefined {
  return bound?.kind === 'time' ? bound.at : undefined;
}

/** The position of a bound; undefined where it is a time, or none. */
export function positionOf(bound: HistoryBound | undefined): string | undefined {
  return bound?.kind === 'position' ? bound.position : undefined;
}
