// Owns the reading of `filter` on a subscription, after access has been decided: which events are wanted, and
// which fields a channel knows at all. What `where` and `columns` may name is the policies room's.

import type { ParsedChannel } from '../protocol/channel-name.ts';
import { type FilterFrame, ROW_EVENTS } from '../protocol/client-frame.ts';
import type { Refusal } from '../protocol/error-codes.ts';

export type EventFilterResult =
  | { readonly ok: true /** Null for all. */; readonly events: ReadonlySet<string> | null }
  | { readonly ok: false; readonly refusal: Refusal };

/** Reads a filter that fits its schema. Events are compared as printed, upper case for row changes. */
export function readEventFilter(channel: ParsedChannel, filter: FilterFrame | undefined): EventFilterResult {
  const ofTables = (['schema', 'where', 'columns'] as const).find((field) => filter?.[field] !== undefined);
  if (channel.kind === 'topic' && ofTables !== undefined) return badFilter(`filter.${ofTables} is for db: channels`);
  const events = typeof filter?.event === 'string' ? [filter.event] : (filter?.event ?? ['*']);
  const foreign = channel.kind === 'table' ? events.find((event) => !isRowEvent(event)) : undefined;
  if (foreign !== undefined) return badFilter(`filter.event is one of ${ROW_EVENTS.join(', ')} or *`);
  return { ok: true, events: events.includes('*') ? null : new Set(events) };
}

function isRowEvent(event: string): boolean {
  return event === '*' || (ROW_EVENTS as readonly string[]).includes(event);
}

function badFilter(message: string): EventFilterResult {
  return { ok: false, refusal: { code: 'bad_filter', message } };
}
