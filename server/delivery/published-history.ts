// Owns how published messages get their place in history: the row is there already, the journal writes position
// and audiences into it. A commit is streamed before others can see it (traps of Postgres, rule 2), so the journal
// first makes sure that it sees the rows it is about to write.

import type { ClientBase } from 'pg';
import type { KeptPublication } from '../changes/published-message.ts';
import { must } from '../lib/assert.ts';
import { pause } from '../lib/backoff.ts';
import { TransactionSnapshot } from '../lib/transaction-snapshot.ts';
import type { WebhookTargets } from './webhook-targets.ts';

export type PlacedMessage = { readonly message: KeptPublication; readonly audienceCount: number };

const LOOK_MS = 5;
const NEVER = new AbortController().signal;

const SNAPSHOT = 'select pg_catalog.pg_current_snapshot()::text as snapshot';

const PLACE = 'select realtime.journal_messages($1, $2, $3, $4, $5)';

/** Resolves once everybody sees what was published: where a standby is waited for, that may take its time. */
export async function untilVisible(client: ClientBase, placed: readonly PlacedMessage[]): Promise<void> {
  const xids = [...new Set(placed.map(({ message }) => message.transaction.xid))];
  while (xids.length > 0) {
    const { rows } = await client.query<{ snapshot: string }>({ name: 'rowcast_snapshot', text: SNAPSHOT });
    const snapshot = new TransactionSnapshot(must(rows[0], 'a snapshot').snapshot);
    if (xids.every((xid) => snapshot.containsStreamed(xid))) return;
    await pause(LOOK_MS, NEVER);
  }
}

/** Writes position and audiences of each, and counts them, in the caller's transaction. */
export async function placeMessages(
  client: ClientBase,
  placed: readonly PlacedMessage[],
  targets: Pick<WebhookTargets, 'countOf'>,
): Promise<void> {
  if (placed.length === 0) return;
  const values = [
    placed.map(({ message }) => message.messageId),
    placed.map(({ message }) => message.timestamp),
    placed.map(({ message }) => message.position),
    placed.map(({ audienceCount }) => audienceCount),
    placed.map(({ message }) => targets.countOf(message.channel, message.event)),
  ];
  await client.query({ name: 'rowcast_place_messages', text: PLACE, values });
}
