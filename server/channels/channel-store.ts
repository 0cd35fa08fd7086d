// Owns the SQL of channels: which row decides about a concrete name, and what is so of the table that a `db:`
// name means. Read as the server's own login, which sees all rows; who may see what is asked by the policies
// room. One statement, the same for names that exist and for names that do not.

import type { Pool } from 'pg';
import type { ParsedChannel } from '../protocol/channel-name.ts';

import { completeFromOf, isFullOf, likePatternOf } from './channel-sql.ts';

export type DecidingChannel = { readonly id: string; readonly pattern: string; readonly isEnabled: boolean };

export type TableFacts = {
  readonly oid: number;
  /** Published by Rowcast. */
  readonly isWatched: boolean;
  /** No transaction is open that wrote before it was watched, and delivery is beyond them all. */
  readonly isComplete: boolean;
  /** Why UPDATE and DELETE of the table are not published; null where they are. */
  readonly identityGap: string | null;
  /** Old images are whole: replica identity full, on every partition too. */
  readonly isFull: boolean;
  /** Another one after the table was made again, or watched anew: changes in between may have been missed. */
  readonly watch: string;
};

export type ChannelFacts = {
  /** The most specific row that matches; null if none does. */
  readonly deciding: DecidingChannel | null;
  /** Null for other channels, and where there is no such table. */
  readonly table: TableFacts | null;
};

type Row = {
  id: string | null;
  pattern: string;
  enabled: boolean;
  oid: number | null;
  is_watched: boolean;
  completed: boolean;
  complete_from: string | null;
  identity_gap: string | null;
  is_full: boolean;
  watch: string;
};

// As realtime.deciding_channel() decides, without the settings that are inherited: an exact row is found by the
// unique index, and patterns are read only for names that have none, and then once for all of them.
const FACTS = `
  with patterns as materialized (
    select p.id, p.like_pattern, p.literal_length, p.created_at from realtime.channels as p where p.is_pattern)
  select d.id, d.pattern, d.enabled, t.oid, t.is_watched, t.completed, t.complete_from, t.identity_gap, t.is_full, t.watch
  from unnest($1::text[], $2::text[], $3::text[]) with ordinality as n (name, schema_name, table_name, place)
  left join lateral (
    select c.id, c.pattern, c.enabled from realtime.channels as c
    where c.id = coalesce(
      (select e.id from realtime.channels as e
       where e.like_pattern = ${likePatternOf('n.name')}
         and e.pattern = n.name and not e.is_pattern),
      (select p.id from patterns as p
       where n.name like p.like_pattern
       order by p.literal_length desc, p.created_at, p.id limit 1))) as d on true
  left join lateral (
    select k.oid, exists (select from realtime.carriers(k.oid)) as is_watched, coalesce(w.completed, false) as completed,
      ${completeFromOf('w.relation')} as complete_from,
      realtime.identity_gap(k.oid) as identity_gap,
      ${isFullOf('k.oid')} as is_full,
      concat_ws(' ', k.oid, w.watched_at) as watch
    from pg_catalog.pg_class as k
      join pg_catalog.pg_namespace as s on s.oid = k.relnamespace
      left join realtime.watched as w on w.relid = k.oid
    where s.nspname = n.schema_name and k.relname = n.table_name) as t on true
  order by n.place`;

export class ChannelStore {
  readonly #pool: Pool;
  readonly #hasReached: (position: string) => boolean;

  /** `hasReached` tells whether everything at or below a position has been delivered. */
  constructor(pool: Pool, hasReached: (position: string) => boolean) {
    this.#pool = pool;
    this.#hasReached = hasReached;
  }

  /** What is so of each channel, in their order. */
  async facts(channels: readonly ParsedChannel[]): Promise<readonly ChannelFacts[]> {
    const tables = channels.map((channel) => (channel.kind === 'table' ? channel.table : undefined));
    const { rows } = await this.#pool.query<Row>(FACTS, [
      channels.map(({ canonical }) => canonical),
      tables.map((table) => table?.schema ?? null),
      tables.map((table) => table?.table ?? null),
    ]);
    return rows.map((row) => ({ deciding: decidingOf(row), table: this.#tableOf(row) }));
  }

  #tableOf(row: Row): TableFacts | null {
    if (row.oid === null) return null;
    return {
      oid: row.oid,
      isWatched: row.is_watched,
      isComplete: row.completed && (row.complete_from === null || this.#hasReached(row.complete_from)),
      identityGap: row.identity_gap,
      isFull: row.is_full,
      watch: row.watch,
    };
  }

  /** Changes whenever the catalogue or a channel row may decide otherwise about a subscription. */
  async fingerprint(): Promise<string> {
    const { rows } = await this.#pool.query<{ digest: string }>('select realtime.channels_fingerprint() as digest');
    return (rows[0] as { digest: string }).digest;
  }
}

function decidingOf({ id, pattern, enabled }: Row): DecidingChannel | null {
  return id === null ? null : { id, pattern, isEnabled: enabled };
}
