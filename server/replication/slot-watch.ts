// Owns the look at our slot and our publications while the server runs: WAL that the slot holds back, a
// publication that is not the one the stream was started with, what a hand has narrowed, and whether a promotion
// would keep the epoch. What follows is done by whoever is called.

import type { Pool } from 'pg';
import type { Logger } from '../lib/logger.ts';
import { IS_FAILOVER_SAFE } from './failover.ts';
import { allowedBytes, judgeHeldWal } from './wal-fuse.ts';

export type SlotWatchOptions = {
  readonly pool: Pool;
  readonly slot: string;
  readonly publicationPrefix: string;
  /** What the slot may hold back; lower where the database says so itself. */
  readonly maxRetainedBytes: number;
  /** Whether this server is the one to act; a standby looks only. */
  readonly isLeading: () => boolean;
  readonly onHeld: (held: { readonly lagBytes: number; readonly retainedBytes: number }) => void;
  /** Returns whether it began; called at each look. */
  readonly shed: () => boolean;
  /** Returns whether it had been shedding; called at each look. */
  readonly deliver: () => boolean;
  readonly discardSlot: (why: string) => void;
  readonly reopen: (why: string) => void;
  readonly log: Logger;
};

/** `allowed` is null where max_slot_wal_keep_size is unlimited; `narrowed` where nothing is. */
type Row = {
  retained: string | null;
  lag: string | null;
  allowed: string | null;
  is_failover_safe: boolean;
  was_failover_safe: boolean;
  has_same_publications: boolean;
  narrowed: string | null;
};

const LOOK = `
  with published as (
    select p.oid, p.pubname from pg_catalog.pg_publication as p
    where p.pubname = $2 or pg_catalog.starts_with(p.pubname::text, $2 || '_')
  )
  select pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.restart_lsn)::text as retained,
    pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.confirmed_flush_lsn)::text as lag,
    (select nullif(k.setting::bigint, -1) * 1048576 from pg_catalog.pg_settings as k
     where k.name = 'max_slot_wal_keep_size')::text as allowed,
    ${IS_FAILOVER_SAFE} as is_failover_safe, c.is_failover_safe as was_failover_safe,
    coalesce(c.publications = (select pg_catalog.jsonb_object_agg(p.pubname, p.oid::bigint) from published as p), false)
      as has_same_publications,
    (select pg_catalog.string_agg(pg_catalog.format('%s in %I', realtime.relation_name(r.prrelid), p.pubname), ', ' order by r.prrelid)
     from pg_catalog.pg_publication_rel as r join published as p on p.oid = r.prpubid
     where p.pubname in ($2, $2 || '_inserts', $2 || '_messages')
       and (r.prqual is not null or r.prattrs is not null)) as narrowed
  from realtime.checkpoint as c left join pg_catalog.pg_replication_slots as s on s.slot_name = $1`;

export class SlotWatch {
  readonly #options: SlotWatchOptions;
  #narrowed: string | null = null;
  #overSince: number | undefined;

  constructor(options: SlotWatchOptions) {
    this.#options = options;
  }

  /** One look. Rejects when the database cannot be asked. */
  async look(): Promise<void> {
    const { pool, slot, publicationPrefix, isLeading } = this.#options;
    const row = (await pool.query<Row>(LOOK, [slot, publicationPrefix])).rows[0];
    if (row === undefined) return;
    this.#lookAtWal(row);
    if (!isLeading()) return;
    this.#lookAtPublications(row);
    if (row.is_failover_safe !== row.was_failover_safe) await this.#noteFailover(row.is_failover_safe);
  }

  #lookAtWal(row: Row): void {
    if (row.retained === null) return;
    const { maxRetainedBytes, isLeading, onHeld, shed, deliver, discardSlot, slot, log } = this.#options;
    const retainedBytes = Number(row.retained);
    const databaseLimitBytes = Number(row.allowed) || null;
    const held = { retainedBytes, lagBytes: Number(row.lag ?? row.retained), databaseLimitBytes };
    onHeld(held);
    if (!isLeading()) return;
    const allowed = allowedBytes(maxRetainedBytes, held);
    const figures = { slot, ...held, allowedBytes: allowed };
    switch (judgeHeldWal(held, allowed, this.#overMs(retainedBytes > allowed))) {
      case 'blow':
        log.error(figures, 'the slot holds back more WAL than it may: it is given up, a new epoch begins');
        return discardSlot('the slot held back more WAL than it may');
      case 'shed':
        if (shed()) log.warn(figures, 'the slot holds back more than half of the WAL it may: live work is shed');
        return undefined;
      case 'deliver':
        if (deliver()) log.warn(figures, 'the slot holds back little WAL again: changes are delivered live');
        return undefined;
      case 'hold':
        return undefined;
    }
  }

  #overMs(isOver: boolean): number {
    const now = performance.now();
    this.#overSince = isOver ? (this.#overSince ?? now) : undefined;
    return now - (this.#overSince ?? now);
  }

  // A stream goes on without a word when a publication is dropped and made again: it sends what is in the new one.
  #lookAtPublications({ has_same_publications, narrowed }: Row): void {
    const { log, reopen } = this.#options;
    if (!has_same_publications) reopen('a publication was made, dropped, or made again');
    if (narrowed !== null && narrowed !== this.#narrowed) {
      log.warn(
        { narrowed },
        'a table has a row filter or a column list in a publication of Rowcast: changes are missing',
      );
    }
    this.#narrowed = narrowed;
  }

  async #noteFailover(isSafe: boolean): Promise<void> {
    const { pool, log } = this.#options;
    await pool.query('update realtime.checkpoint set is_failover_safe = $1', [isSafe]);
    log.info({ isFailoverSafe: isSafe }, 'whether a promotion of a standby keeps the epoch has changed');
  }
}
