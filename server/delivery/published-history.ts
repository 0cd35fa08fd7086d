// Owns how published messages get their place in history: the row is there already, the journal writes position
// and audience into it. A commit is streamed before others can see it (traps of Postgres, rule 2), so the journal
// first makes sure that it sees the rows it is about to write.

import type { ClientBase } from 'pg';
import type { KeptPublication } from '../changes/published-message.ts';
import { pause } from '../lib/backoff.ts';

export type PlacedMessage = { readonly message: KeptPublication; readonly audienceCount: number };

const LOOK_MS = 5;
const NEVER = new AbortController().signal;

// The 32 bits of the stream's transaction ids are widened from xmax, in either direction (rule 3).
const VISIBLE = `
  select coalesce(bool_and(pg_catalog.pg_visible_in_snapshot(
    (s.xmax + ((x.low32 - (s.xmax & 4294967295) + 6442450944) & 4294967295) - 2147483648)::text::xid8, s.snapshot)), true) as visible
  from unnest($1::bigint[]) as x (low32),
    (select snapshot, pg_catalog.pg_snapshot_xmax(snapshot)::text::bigint as xmax
     from pg_catalog.pg_current_snapshot() as snapshot) as s`;

const PLACE = 'select realtime.journal_messages($1, $2, $3, $4)';

/** Resolves once everybody sees what was published: where a standby is waited for, that may take its time. */
export async function untilVisible(client: ClientBase, placed: readonly PlacedMessage[]): Promise<void> {
  const xids = [...new Set(placed.map(({ message }) => message.transaction.xid))];
  while (xids.length > 0) {
    const { rows } = await client.query<{ visible: boolean }>({
      name: 'rowcast_visible',
      text: VISIBLE,
      values: [xids],
    });
    if (rows[0]?.visible === true) return;
    await pause(LOOK_MS, NEVER);
  }
}

/** Writes position and audience of each, and counts them, in the caller's transaction. */
export async function placeMessages(client: ClientBase, placed: readonly PlacedMessage[]): Promise<void> {
  if (placed.length === 0) return;
  const values = [
    placed.map(({ message }) => message.messageId),
    placed.map(({ message }) => message.timestamp),
    placed.map(({ message }) => message.position),
    placed.map(({ audienceCount }) => audienceCount),
  ];
  await client.query({ name: 'rowcast_place_messages', text: PLACE, values });
}
