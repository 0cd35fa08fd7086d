// Owns what was committed as one list in one form, from two sides: from the oracle's decoding of the WAL, and from
// what history holds, row changes and published messages, with their contents. And whether what was counted
// is what history holds.

import type { TestDatabase } from '../rig/postgres.ts';
import { type OracleChange, oraclePosition, PUBLISHED } from './wal-oracle.ts';

export type Committed = {
  readonly position: string;
  readonly channel: string;
  readonly event: string;
  /** Texts by name, in a fixed order. */
  readonly values: Readonly<Record<string, string | null>>;
};

const OF_MESSAGE = ['id', 'channel_id', 'payload', 'sender_type', 'sender_id', 'created_at'] as const;
const OF_ROW = ['id', 'writer', 'body'] as const;
/** Of a deleted row the stream has its key alone. */
const OF_KEY = ['id'] as const;

/** What the oracle decoded, as history should hold it. */
export function committedOf(epoch: number, change: OracleChange): Committed {
  const { relation, op, values } = change;
  const position = oraclePosition(epoch, change);
  if (relation === PUBLISHED) {
    const { channel_name: channel, event_name: event } = values;
    return { position, channel: String(channel), event: String(event), values: pick(values, OF_MESSAGE) };
  }
  return {
    position,
    channel: `db:${relation.replace('public.', '')}`,
    event: op,
    values: pick(values, op === 'DELETE' ? OF_KEY : OF_ROW),
  };
}

/** What history holds, in its order. */
export async function readHistory(database: TestDatabase): Promise<Committed[]> {
  const columns = OF_MESSAGE.map((name) => `'${name}', m.${name}::text`).join(', ');
  const rows = await database.query<Committed>(`
    select position, channel_name as channel, event_name as event, json_build_object(${columns}) as values
    from realtime.messages as m where position is not null
    union all
    select position, 'db:' || relation, op, coalesce(nullif(payload -> 'new', 'null'), payload -> 'old')::json
    from realtime.changes
    order by position`);
  return rows.map((row) => (row.channel.startsWith('db:') ? { ...row, values: pick(row.values, OF_ROW) } : row));
}

export async function countHistory(database: TestDatabase): Promise<number> {
  const [row] = await database.query<{ n: number }>(`
    select ((select count(*) from realtime.changes)
      + (select count(*) from realtime.messages where position is not null))::int as n`);
  return row?.n ?? 0;
}

/** Where the counts by minute or hour are not those of history. */
export async function readMiscounts(database: TestDatabase): Promise<string[]> {
  const rows = await database.query(`
    with held (channel_key, event_name, messages) as (
      select channel_id::text, event_name, count(*) from realtime.messages where position is not null group by 1, 2
      union all
      select relation, op, count(*) from realtime.changes group by 1, 2),
    counted (width_s, channel_key, event_name, messages) as (
      select width_s, channel_key, event_name, sum(case when is_removed then -message_count else message_count end)
      from realtime.message_counts group by 1, 2, 3)
    select w.width_s, h.channel_key, h.event_name, h.messages::int as held, c.messages::int as counted
    from (values (60), (3600)) as w (width_s) cross join held as h
    full join counted as c using (width_s, channel_key, event_name)
    where h.messages is distinct from c.messages and (h.messages is not null or c.messages <> 0)`);
  return rows.map((row) => `counts: ${JSON.stringify(row)}`);
}

function pick(values: Committed['values'], names: readonly string[]): Committed['values'] {
  const texts = names.map((name) => [name, textOf(values[name])] as const);
  return Object.fromEntries(texts.filter(([, text]) => text !== undefined)) as Committed['values'];
}

function textOf(value: unknown): string | null | undefined {
  return value === undefined || value === null ? (value as undefined | null) : String(value);
}
