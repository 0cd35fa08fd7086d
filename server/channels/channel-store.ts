// Owns the SQL of channels: which row decides about a concrete name, and which table a `db:` name means.
// Read as the server's own login, which sees all rows; who may see what is asked by the policies room.

import type { Pool } from 'pg';
import type { TableName } from '../protocol/channel-name.ts';

export type DecidingChannel = {
  readonly id: string;
  readonly pattern: string;
  readonly isEnabled: boolean;
  readonly persist: boolean;
};

export type WatchedTable = {
  readonly oid: number;
  readonly isComplete: boolean;
  /** Why UPDATE and DELETE of the table are not published; null where they are. */
  readonly identityGap: string | null;
};

type ChannelRow = { channel_id: string; pattern: string; enabled: boolean; persist: boolean };
type TableRow = { oid: number; completed: boolean; identity_gap: string | null };

export class ChannelStore {
  readonly #pool: Pool;

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** The most specific row that matches `name`; undefined if none does. */
  async deciding(name: string): Promise<DecidingChannel | undefined> {
    const { rows } = await this.#pool.query<ChannelRow>(
      'select channel_id, pattern, enabled, persist from realtime.deciding_channel($1)',
      [name],
    );
    const row = rows[0];
    if (row === undefined) return undefined;
    return { id: row.channel_id, pattern: row.pattern, isEnabled: row.enabled, persist: row.persist };
  }

  /** The table if it exists and is published by Rowcast; undefined otherwise. */
  async watched({ schema, table }: TableName): Promise<WatchedTable | undefined> {
    const { rows } = await this.#pool.query<TableRow>(
      `select c.oid, coalesce(w.completed, false) as completed, realtime.identity_gap(c.oid) as identity_gap
       from pg_catalog.pg_class as c
       join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
       left join realtime.watched as w on w.relid = c.oid
       where n.nspname = $1 and c.relname = $2 and realtime.is_published(c.oid, false)`,
      [schema, table],
    );
    const row = rows[0];
    if (row === undefined) return undefined;
    return { oid: row.oid, isComplete: row.completed, identityGap: row.identity_gap };
  }
}
