// Owns the reading of one channel's history for whoever resumes: slice by slice in the order of positions, each in one
// statement, with the floor of the channel in the same snapshot. So nothing can go missing between a slice and the
// next without being noticed. One writer appends to history in that order: what a statement sees has no gaps.

import type { Pool } from 'pg';
import type { StoredChange } from '../changes/stored-change.ts';
import type { CanonicalChannel } from '../protocol/channel-name.ts';
import type { RowEvent } from '../protocol/client-frame.ts';
import { rfc3339 } from '../protocol/timestamp-text.ts';
import { floorSql } from './history-floor.ts';
import { TABLE_PREFIX } from './history-query.ts';

export type ReplayQuestion = {
  readonly channel: CanonicalChannel;
  /** Exclusive. */
  readonly after: string;
  /** Inclusive; absent: to the end. */
  readonly until?: string | undefined;
  readonly limit: number;
};

/** A published message as history has it. */
export type StoredMessage = {
  readonly position: string;
  readonly messageId: string;
  readonly event: string;
  /** JSON. */
  readonly payload: string;
  readonly senderId: string | null;
  readonly connectionId: string | null;
  readonly timestamp: string;
};

export type ReplaySlice<T> = {
  readonly stored: readonly T[];
  /** At or below it something of the channel may be missing; null where nothing is. */
  readonly floor: string | null;
  /** Nothing more was there to be read. */
  readonly isEnd: boolean;
};

type Row = { floor: string | null; found: number | null; position: string | null };
type ChangeRow = Row & {
  op: RowEvent;
  xid: string | null;
  commit_micros: string;
  payload: string;
  old_image: string | null;
  new_image: string | null;
  is_visible: boolean;
};
type MessageRow = Row & {
  id: string;
  event_name: string;
  payload: string;
  sender_id: string | null;
  connection_id: string | null;
  created_at: string;
};

/** As stored, compressed: what comes is some times larger. */
const SLICE_BYTES = 512 * 1024;
/** Text order puts it behind all positions. */
const BEHIND_ALL = '~';

// The comparison of rows walks the index of the channel whatever the planner thinks of its frequency.
const CHANGES = `
  select f.floor, r.found::int, r.position, r.op, r.xid::text as xid, r.payload::text as payload,
    r.old_image::text as old_image, r.new_image::text as new_image,
    ((extract(epoch from r.committed_at) * 1000000)::bigint - 946684800000000)::text as commit_micros,
    coalesce(pg_catalog.pg_visible_in_snapshot(r.xid, pg_catalog.pg_current_snapshot()), true) as is_visible
  from (select ${floorSql('changes', '$1')} as floor) as f
  left join lateral (
    select s.*, sum(s.size) over (order by s.position) - s.size as before, count(*) over () as found
    from (
      select c.*, pg_catalog.pg_column_size(c.payload) + coalesce(pg_catalog.pg_column_size(c.old_image), 0)
        + coalesce(pg_catalog.pg_column_size(c.new_image), 0) as size
      from realtime.changes as c
      where (c.relation, c.position) > ($1, $2) and (c.relation, c.position) <= ($1, $3)
      order by c.relation, c.position limit $4) as s) as r on r.before < ${SLICE_BYTES}
  order by r.position`;

const MESSAGES = `
  select f.floor, r.found::int, r.position, r.id, r.event_name, r.payload::text as payload, r.sender_id, r.connection_id,
    r.created_at::text as created_at
  from (select ${floorSql('messages', '$1')} as floor) as f
  left join lateral (
    select s.*, sum(s.size) over (order by s.position) - s.size as before, count(*) over () as found
    from (
      select m.*, pg_catalog.pg_column_size(m.payload) as size
      from realtime.messages as m
      where m.position is not null and (m.channel_name, m.position) > ($1, $2) and (m.channel_name, m.position) <= ($1, $3)
      order by m.channel_name, m.position limit $4) as s) as r on r.before < ${SLICE_BYTES}
  order by r.position`;

export class ReplayReader {
  readonly #pool: Pool;

  /** Of the server's own login. */
  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /**
   * Row changes of a `db:` channel. Ends before the first one that not everybody can see yet: whoever is judged has to
   * see what its transaction did. Rejects when the database cannot be asked.
   */
  async changes(question: ReplayQuestion): Promise<ReplaySlice<StoredChange>> {
    const relation = question.channel.slice(TABLE_PREFIX.length);
    const rows = await this.#read<ChangeRow>('rowcast_replay_changes', CHANGES, relation, question);
    const unseen = rows.findIndex(({ is_visible }) => !is_visible);
    const seen = unseen === -1 ? rows : rows.slice(0, unseen);
    return slice(rows, seen.filter(isFound).map(storedChange), question);
  }

  /** Published messages of any other channel. Rejects when the database cannot be asked. */
  async messages(question: ReplayQuestion): Promise<ReplaySlice<StoredMessage>> {
    const rows = await this.#read<MessageRow>('rowcast_replay_messages', MESSAGES, question.channel, question);
    return slice(rows, rows.filter(isFound).map(storedMessage), question);
  }

  async #read<R extends Row>(
    name: string,
    text: string,
    key: string,
    { after, until, limit }: ReplayQuestion,
  ): Promise<R[]> {
    const values = [key, after, until ?? BEHIND_ALL, limit];
    return (await this.#pool.query<R>({ name, text, values })).rows;
  }
}

function slice<T>(rows: readonly Row[], stored: readonly T[], { limit }: ReplayQuestion): ReplaySlice<T> {
  const found = rows[0]?.found ?? 0;
  return { stored, floor: rows[0]?.floor ?? null, isEnd: found < limit && stored.length === found };
}

function isFound({ position }: Row): boolean {
  return position !== null;
}

function storedChange(row: ChangeRow): StoredChange {
  return {
    position: row.position as string,
    op: row.op,
    xid: row.xid === null ? null : BigInt(row.xid),
    commitMicros: BigInt(row.commit_micros),
    payload: row.payload,
    oldImage: row.old_image,
    newImage: row.new_image,
  };
}

function storedMessage(row: MessageRow): StoredMessage {
  return {
    position: row.position as string,
    messageId: row.id,
    event: row.event_name,
    payload: row.payload,
    senderId: row.sender_id,
    connectionId: row.connection_id,
    timestamp: rfc3339(row.created_at),
  };
}
