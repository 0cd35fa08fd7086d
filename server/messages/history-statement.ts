// Owns the statement that reads a stretch of history: of each table what its filters give in the order of positions, merged.
// Parameters make a plan of their own each time, so that times keep other days' partitions out.
//
// Every filter has an index of its own in the order of positions. Which one is walked is not left to the planner: a
// channel that was busy once and is silent now looks frequent to it, and it would walk all positions instead. So the
// filter is part of the order, and of a comparison of rows, which no other index can give.

import { type HistoryFilter, type HistoryOrder, TABLE_PREFIX, timeOf } from './history-query.ts';
import type { HistoryScope, HistorySource } from './history-scope.ts';
import { type PositionSpan, spanOf } from './position-span.ts';

/** What is read next: `behind` is where the last stretch ended. */
export type Stretch = {
  readonly order: HistoryOrder;
  readonly behind: string | undefined;
  readonly limit: number;
  readonly offset: number;
};

export type HistoryStatement = { readonly text: string; readonly values: readonly unknown[] };

/** Columns of either table under the same names. */
const TABLES = {
  messages: {
    columns: `'messages' as source, r.position, r.id, r.event_name, r.channel_id, r.channel_name, r.payload, r.sender_type,
      r.sender_id, r.ws_audience_count, r.wh_audience_count, r.wh_delivered_count, r.created_at as at`,
    time: 'r.created_at',
  },
  changes: {
    columns: `'changes' as source, r.position, null::uuid as id, r.op as event_name, null::uuid as channel_id, r.relation as channel_name,
      r.payload, 'system' as sender_type, null as sender_id, r.ws_audience_count, r.wh_audience_count, r.wh_delivered_count,
      r.committed_at as at`,
    time: 'r.committed_at',
  },
} as const;

const OPERATIONS: readonly string[] = ['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'];

/** Undefined where nothing can match. */
export function historyStatement(
  sources: readonly HistorySource[],
  filter: HistoryFilter,
  scope: HistoryScope,
  stretch: Stretch,
): HistoryStatement | undefined {
  const values = new Values();
  const limit = values.add(stretch.limit);
  const offset = values.add(stretch.offset);
  const most = values.add(stretch.limit + stretch.offset);
  const branches = sources
    .filter((source) => mayMatch(source, filter, scope))
    .map((source) => branchOf(source, filter, scope, stretch, most, values));
  if (branches.length === 0) return undefined;
  // What is skipped is not printed: the payload becomes text behind limit and offset.
  const text = `
    select h.source, h.position, h.id, h.event_name, h.channel_id, h.channel_name, h.payload::text as payload, h.sender_type, h.sender_id,
      h.ws_audience_count, h.wh_audience_count, h.wh_delivered_count, (h.at at time zone 'UTC')::text || '+00' as at
    from (select u.* from (${branches.join(' union all ')}) as u
      order by u.position ${stretch.order} limit ${limit} offset ${offset}) as h`;
  return { text, values: values.all };
}

function mayMatch(source: HistorySource, filter: HistoryFilter, { ranges, relation }: HistoryScope): boolean {
  if (ranges[source] === null) return false;
  const isOfTable = filter.channel?.startsWith(TABLE_PREFIX);
  if (source === 'messages') return isOfTable !== true;
  if (isOfTable === false || relation === null || filter.senderId !== undefined) return false;
  return filter.eventName === undefined || OPERATIONS.includes(filter.eventName);
}

function branchOf(
  source: HistorySource,
  filter: HistoryFilter,
  scope: HistoryScope,
  stretch: Stretch,
  most: string,
  values: Values,
): string {
  const { columns, time } = TABLES[source];
  const [walked, ...others] = equalitiesOf(source, filter, scope);
  const conditions = [
    ...positionConditions(walked, spanOf(filter, scope.ranges[source] ?? undefined, stretch), values),
    ...values.when(`${time} >=`, timeOf(filter.since)),
    ...values.when(`${time} <`, timeOf(filter.until)),
    ...values.when(`${time} <`, scope.end),
    ...others.flatMap(({ column, value }) => values.when(`${column} =`, value)),
  ];
  const keys = walked === undefined ? ['r.position'] : [walked.column, 'r.position'];
  return `(select ${columns} from realtime.${source} as r where ${conditions.join(' and ')}
    order by ${keys.map((key) => `${key} ${stretch.order}`).join(', ')} limit ${most})`;
}

type Equality = { readonly column: string; readonly value: string };

/** The first one's index is walked: that of the filter which usually lets least through. */
function equalitiesOf(source: HistorySource, filter: HistoryFilter, { relation }: HistoryScope): readonly Equality[] {
  const { senderId, channel, channelId, eventName } = filter;
  const given =
    source === 'messages'
      ? ([
          ['r.sender_id', senderId],
          ['r.channel_name', channel],
          ['r.channel_id', channelId],
          ['r.event_name', eventName],
        ] as const)
      : ([
          ['r.relation', relation ?? undefined],
          ['r.op', eventName],
        ] as const);
  return given.flatMap(([column, value]) => (value === undefined ? [] : [{ column, value }]));
}

/** Text order puts it behind all positions. */
const BEHIND_ALL = '~';

function positionConditions(walked: Equality | undefined, { low, high }: PositionSpan, values: Values): string[] {
  // The indexes of messages hold what has its place in history; all of changes has.
  const placed = 'r.position is not null';
  if (walked === undefined)
    return [placed, ...values.when('r.position >=', low), ...values.when('r.position <=', high)];
  const { column, value } = walked;
  const rowAt = (at: string): string => `(${values.add(value)}, ${values.add(at)})`;
  // Both ends inclusive: so the planner never takes a frequent value for one that hardly occurs.
  return [
    placed,
    `${column} is not null`,
    `(${column}, r.position) >= ${rowAt(low ?? '')}`,
    `(${column}, r.position) <= ${rowAt(high ?? BEHIND_ALL)}`,
  ];
}

class Values {
  readonly all: unknown[] = [];

  /** The placeholder of a value. */
  add(value: unknown): string {
    this.all.push(value);
    return `$${this.all.length}`;
  }

  /** A condition, if there is a value for it. */
  when(condition: string, value: string | undefined): string[] {
    return value === undefined ? [] : [`${condition} ${this.add(value)}`];
  }
}
