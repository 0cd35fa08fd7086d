// Owns the answer to "from where on is it replayed": what a `since` means on a channel, and whether everything behind it
// is still in history.

import type { Pool } from 'pg';
import { must } from '../lib/assert.ts';
import { type Epoch, formatPosition, type Position, parseLsn, parsePosition } from '../lib/position.ts';
import type { ParsedChannel } from '../protocol/channel-name.ts';
import { positionOfMessageId } from '../protocol/message-id.ts';
import type { UnrecoveredReason } from '../protocol/server-frame.ts';
import { changeIdMask } from './change-ids.ts';
import { floorSql } from './history-floor.ts';

export type ResumePoint =
  /** `isById`: it was given as a messageId, so it must be one that may be seen. */
  | { readonly kind: 'from'; readonly position: Position; readonly isById: boolean }
  | { readonly kind: 'unrecovered'; readonly reason: UnrecoveredReason }
  /** A new epoch begins, and delivery is not there yet. */
  | { readonly kind: 'unsettled' };

type Facts = {
  epoch: string | null;
  system_identifier: string | null;
  persist: boolean | null;
  floor: string | null;
  named_position: string | null;
  wal_end: string;
};

// $1 canonical channel, $2 relation or null, $3 id of a message or null.
const FACTS = `
  select k.epoch::text as epoch, k.system_identifier, pg_catalog.pg_current_wal_insert_lsn()::text as wal_end,
    (select d.persist from realtime.deciding_channel($1) as d) as persist,
    case when $2::text is null then ${floorSql('messages', '$1::text')} else ${floorSql('changes', '$2::text')} end as floor,
    (select m.position from realtime.messages as m
     where m.id = $3::uuid and m.channel_name = $1 and m.position is not null limit 1) as named_position
  from realtime.checkpoint as k`;

const CHANGE = 'select from realtime.changes as c where c.position = $1 and c.relation = $2';

export class ResumePoints {
  readonly #pool: Pool;

  /** Of the server's own login. */
  constructor(pool: Pool) {
    this.#pool = pool;
  }

  /** `since` is a position or a messageId; `epoch` that of delivery. Rejects when the database cannot be asked. */
  async find(channel: ParsedChannel, since: string, epoch: Epoch | undefined): Promise<ResumePoint> {
    const relation = channel.kind === 'table' ? channel.canonical.slice('db:'.length) : null;
    const isPosition = parsePosition(since) !== undefined;
    const id = isPosition || relation !== null ? null : since;
    const { rows } = await this.#pool.query<Facts>(FACTS, [channel.canonical, relation, id]);
    const facts = must(rows[0], 'the checkpoint row');
    if (Number(facts.epoch) !== epoch) return { kind: 'unsettled' };
    if (facts.persist === false) return unrecovered('not_persisted');
    const position = isPosition ? since : await this.#positionOf(since, relation, facts);
    if (position === null) return unrecovered('unknown');
    const asked = must(parsePosition(position), `a position in ${position}`);
    if (asked.epoch !== epoch) return unrecovered('epoch_changed');
    // Nothing lies behind the end of the WAL: whoever names it was told of no such position.
    if (asked.lsn >= must(parseLsn(facts.wal_end), 'the end of the WAL')) return unrecovered('unknown');
    if (facts.floor !== null && position < facts.floor) return unrecovered('expired');
    return { kind: 'from', position: position as Position, isById: !isPosition };
  }

  async #positionOf(id: string, relation: string | null, facts: Facts): Promise<string | null> {
    if (relation === null) return facts.named_position;
    const parts = positionOfMessageId(changeIdMask(facts.system_identifier ?? ''), id);
    if (parts === undefined) return null;
    const position = formatPosition(parts);
    const { rowCount } = await this.#pool.query(CHANGE, [position, relation]);
    return rowCount === 0 ? null : position;
  }
}

function unrecovered(reason: UnrecoveredReason): ResumePoint {
  return { kind: 'unrecovered', reason };
}
