// Owns the floor of a channel in SQL: the highest position at or below which something of it may be missing in history.

import type { HistorySource } from './history-scope.ts';

/**
 * A scalar sub-select. `key` is a parameter: the relation of changes, the name of the channel of messages. What is removed
 * of messages is noted by the row of realtime.channels that decided about them, of which some may be gone: so a floor
 * counts where that row is gone, or still matches the name.
 */
export function floorSql(source: HistorySource, key: string): string {
  if (source === 'changes') {
    return `(select max(h.position collate "C") from realtime.history_floors as h
      where h.source = 'changes' and h.channel_key in (${key}, '*'))`;
  }
  return `(select max(h.position collate "C")
    from realtime.history_floors as h left join realtime.channels as n on n.id::text = h.channel_key
    where h.source = 'messages' and (n.id is null or ${key} like n.like_pattern or ${key} = n.pattern))`;
}
