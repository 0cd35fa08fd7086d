// Owns the counting of journaled row changes by minute, table and operation, for realtime.message_counts: a few
// rows a batch, in the batch's transaction, so that statistics agree with history to the message.

import type { ClientBase } from 'pg';
import type { KeptChange } from '../changes/change-message.ts';
import type { WebhookTargets } from './webhook-targets.ts';

type MinuteCount = {
  readonly minute: bigint;
  readonly relation: string;
  readonly event: string;
  readonly targets: number;
  count: number;
  readonly first: string;
  last: string;
};

const MICROS_PER_MINUTE = 60_000_000n;
const POSTGRES_EPOCH_MS = Date.UTC(2000, 0, 1);
const MS_PER_MINUTE = 60_000;

const ADD = `select realtime.add_message_counts('changes', false, $1, $2, $3, $4, $5, $6, $7, $8)`;

/** Adds `changes`, which are in the order of their positions, and their webhook deliveries. */
export async function countChanges(
  client: ClientBase,
  changes: readonly KeptChange[],
  targets: Pick<WebhookTargets, 'countOf'>,
): Promise<void> {
  const counts = countByMinute(changes, targets);
  if (counts.length === 0) return;
  await client.query({
    name: 'rowcast_count_changes',
    text: ADD,
    values: [
      counts.map(({ minute }) => startOf(minute)),
      counts.map(({ relation }) => relation),
      counts.map(({ event }) => event),
      counts.map(({ count }) => count),
      counts.map(({ count, targets }) => count * targets),
      counts.map(() => 0),
      counts.map(({ first }) => first),
      counts.map(({ last }) => last),
    ],
  });
}

function countByMinute(changes: readonly KeptChange[], targets: Pick<WebhookTargets, 'countOf'>): MinuteCount[] {
  const counts = new Map<string, MinuteCount>();
  let current: MinuteCount | undefined;
  let before: KeptChange | undefined;
  for (const change of changes) {
    // Neighbours are mostly of one transaction, table and operation.
    if (current === undefined || before === undefined || !areAlike(before, change))
      current = countOf(change, counts, targets);
    current.count += 1;
    current.last = change.position;
    before = change;
  }
  return [...counts.values()];
}

function areAlike(one: KeptChange, other: KeptChange): boolean {
  return one.transaction === other.transaction && one.relation === other.relation && one.event === other.event;
}

function countOf(
  { transaction, channel, event, position }: KeptChange,
  counts: Map<string, MinuteCount>,
  targets: Pick<WebhookTargets, 'countOf'>,
): MinuteCount {
  const minute = floorMinute(transaction.commitMicros);
  const key = `${minute} ${event} ${channel}`;
  let count = counts.get(key);
  if (count === undefined) {
    const relation = channel.slice('db:'.length);
    const known = { minute, relation, event, targets: targets.countOf(channel, event) };
    count = { ...known, count: 0, first: position, last: position };
    counts.set(key, count);
  }
  return count;
}

/** Minutes since 2000-01-01, rounded down before it as well. */
function floorMinute(micros: bigint): bigint {
  return micros >= 0n ? micros / MICROS_PER_MINUTE : -((-micros + MICROS_PER_MINUTE - 1n) / MICROS_PER_MINUTE);
}

function startOf(minute: bigint): string {
  return new Date(POSTGRES_EPOCH_MS + Number(minute) * MS_PER_MINUTE).toISOString();
}
