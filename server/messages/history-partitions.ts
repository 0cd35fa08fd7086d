// Owns the making and dropping of day partitions. Either needs a lock for a moment; it is waited for shortly, so that no
// publisher waits longer, and tried again a few times. What does not work is said and left for the next run, and so are the
// other days of the same table: whoever holds it now holds it for them, too.

import type { ClientBase } from 'pg';
import { classifyDatabaseError } from '../db/sqlstate.ts';
import { pause } from '../lib/backoff.ts';
import type { Logger } from '../lib/logger.ts';
import type { HistorySource } from './history-scope.ts';

export type PartitionsOptions = {
  readonly client: ClientBase;
  readonly signal: AbortSignal;
  readonly log: Logger;
};

export type PartitionsResult = {
  /** Partitions that were made or dropped. */
  readonly changed: number;
  /** Rows that were dropped with them. */
  readonly rows: number;
  /** Tables that are in somebody's hands. */
  readonly waiting: number;
};

type Partition = { readonly parent: HistorySource; readonly day: string };
type Step = 'make_partition' | 'drop_partition';
/** Undefined: it did not work. `null`: there was nothing to do. */
type Outcome = number | null | undefined;

export const DAYS_AHEAD = 7;
/** Bounds the search of the default partition for rows of the day, during which others wait. */
const STATEMENT_MS = 500;
const TRIES = 3;
const PAUSE_MS = 500;

/** Makes those of today and the days ahead that are missing. */
export async function makePartitions(options: PartitionsOptions): Promise<PartitionsResult> {
  const { rows } = await options.client.query<Partition>(
    'select parent, day::text as day from realtime.missing_partitions($1)',
    [DAYS_AHEAD],
  );
  return changeAll(options, 'make_partition', rows);
}

/** Drops those of days that ended before `cutoffDay`, with the counts of what they held. */
export async function dropPartitions(options: PartitionsOptions, cutoffDay: string): Promise<PartitionsResult> {
  const { rows } = await options.client.query<Partition>(
    'select p.parent, p.day::text as day from realtime.partitions() as p where p.day < $1 order by p.day',
    [cutoffDay],
  );
  return changeAll(options, 'drop_partition', rows);
}

async function changeAll(
  options: PartitionsOptions,
  step: Step,
  partitions: readonly Partition[],
): Promise<PartitionsResult> {
  const waiting = new Set<HistorySource>();
  let changed = 0;
  let rows = 0;
  for (const partition of partitions) {
    if (waiting.has(partition.parent)) continue;
    const outcome = await tryOften(options, step, partition);
    if (outcome === undefined) waiting.add(partition.parent);
    if (typeof outcome !== 'number') continue;
    changed++;
    rows += outcome;
  }
  if (changed > 0) options.log.info({ step, partitions: changed, rows }, 'partitions of history changed');
  return { changed, rows, waiting: waiting.size };
}

async function tryOften(options: PartitionsOptions, step: Step, partition: Partition): Promise<Outcome> {
  const { signal, log } = options;
  for (let tries = 1; !signal.aborted; tries++) {
    try {
      return await change(options.client, step, partition);
    } catch (error) {
      const { kind, sqlstate, message } = classifyDatabaseError(error);
      if (sqlstate === undefined || kind === 'shutting_down') throw error;
      const isBusy = kind === 'lock_timeout' || kind === 'query_cancelled' || kind === 'serialization';
      if (!isBusy || tries === TRIES) {
        log.warn({ step, ...partition, sqlstate, reason: message }, 'a partition of history has to wait');
        return undefined;
      }
      await pause(PAUSE_MS, signal);
    }
  }
  return undefined;
}

async function change(client: ClientBase, step: Step, { parent, day }: Partition): Promise<Outcome> {
  await client.query(`begin; set local statement_timeout = ${STATEMENT_MS}`);
  try {
    const { rows } = await client.query<{ rows: bigint | null }>(STATEMENTS[step], [parent, day]);
    await client.query('commit');
    const changed = rows[0]?.rows ?? null;
    return changed === null ? null : Number(changed);
  } catch (error) {
    await client.query('rollback');
    throw error;
  }
}

const STATEMENTS: Readonly<Record<Step, string>> = {
  make_partition: 'select case when realtime.make_partition($1, $2) then 0::bigint end as rows',
  drop_partition: 'select realtime.drop_partition($1, $2) as rows',
};
