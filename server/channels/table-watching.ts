// Owns the watched tables as admins manage them: what is so of each, and the beginning and the end of watching. The
// channel row is the one state; sql/functions/watch_for.sql does what has to happen together.

import type { Pool } from 'pg';
import { classifyDatabaseError } from '../db/sqlstate.ts';
import { parseChannelName, type TableName } from '../protocol/channel-name.ts';
import type { ChannelRefusal } from './channel.ts';
import { sentenceOf } from './channel-fault.ts';
import { isFullOf } from './channel-sql.ts';

export type WatchedTable = TableName & {
  /** Canonical, `db:posts`. */
  readonly channel: string;
  readonly channelId: string;
  readonly isEnabled: boolean;
  /** Null where the table is gone. */
  readonly oid: number | null;
  /** Published by Rowcast. */
  readonly isWatched: boolean;
  readonly isComplete: boolean;
  readonly identityGap: string | null;
  readonly isFull: boolean;
  readonly hasRowSecurity: boolean;
  /** Roles that the policy of watch_for() lets subscribe. */
  readonly openTo: readonly string[];
};

export type WatchOptions = {
  /** Whole old rows: REPLICA IDENTITY FULL. */
  readonly full?: boolean | undefined;
  /** Who may subscribe by the policy of the watching; undefined leaves it as it is. */
  readonly roles?: readonly string[] | undefined;
};

const TABLES = `
  select c.pattern as channel, c.id as "channelId", c.enabled as "isEnabled", k.oid,
    exists (select from realtime.carriers(k.oid)) as "isWatched", coalesce(w.completed, false) as "isComplete",
    realtime.identity_gap(k.oid) as "identityGap", coalesce(k.relrowsecurity, false) as "hasRowSecurity",
    k.oid is not null and ${isFullOf('k.oid')} as "isFull",
    realtime.watch_roles(r.relation) as "openTo"
  from realtime.channels as c
    cross join lateral (select realtime.watched_relation(c.pattern) as relation) as r
    left join pg_catalog.pg_class as k on k.oid = realtime.relation_oid(r.relation)
    left join realtime.watched as w on w.relid = k.oid
  where r.relation is not null and ($1::text is null or r.relation = $1)
  order by c.pattern`;

export class TableWatching {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** All watched tables in the order of their channels; `relation`, in its canonical spelling, names one. */
  async tables(relation?: string): Promise<readonly WatchedTable[]> {
    const { rows } = await this.#pool.query<Omit<WatchedTable, 'schema' | 'table'>>(TABLES, [relation ?? null]);
    return rows.flatMap((row) => {
      const parsed = parseChannelName(row.channel);
      return parsed.ok && parsed.channel.kind === 'table' ? [{ ...parsed.channel.table, ...row }] : [];
    });
  }

  /** Watches a table; again changes only what differs. A refusal says why not, and which statement would do it. */
  async watch(relation: string, { full = false, roles }: WatchOptions): Promise<ChannelRefusal | undefined> {
    try {
      await this.#pool.query('select realtime.watch_for($1, $2, $3::text[])', [relation, full, roles ?? null]);
      return undefined;
    } catch (error) {
      const refusal = refusalOfWatch(error);
      if (refusal === undefined) throw error;
      return refusal;
    }
  }

  /** Ends the watching of a table, which may be gone; false if it was not watched. */
  async unwatch(relation: string): Promise<boolean> {
    const { rows } = await this.#pool.query<{ found: boolean }>('select realtime.unwatch_for($1) as found', [relation]);
    return rows[0]?.found === true;
  }
}

function refusalOfWatch(error: unknown): ChannelRefusal | undefined {
  const failure = classifyDatabaseError(error);
  const sentence = sentenceOf(failure);
  switch (failure.kind) {
    case 'undefined_table':
      return { code: 'not_found', message: sentence };
    case 'wrong_object_type':
    case 'not_supported':
    case 'permission_denied':
    case 'undefined_object':
    case 'not_in_required_state':
      return { code: 'conflict', message: sentence };
    default:
      return undefined;
  }
}
