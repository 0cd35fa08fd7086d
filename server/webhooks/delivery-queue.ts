// Owns the two statements by which a worker and the table of deliveries speak: leasing what is due, and writing what came
// of it. What they mean is told in sql/functions/lease_deliveries.sql and finish_deliveries.sql.

import type { Pool } from 'pg';
import { must } from '../lib/assert.ts';
import type { AttemptResult } from './attempt-result.ts';
import { type DueRequest, type LeasedRow, requestsOf } from './due-request.ts';
import { type RetryRules, retryDelayMs } from './retry-delay.ts';

export type DeliveryRules = RetryRules & {
  readonly giveUpMs: number;
  readonly pauseAfterMs: number;
};

export type DeliveryQueueOptions = {
  readonly pool: Pool;
  /** Names this worker: no other may have the same. */
  readonly holder: string;
  readonly leaseMs: number;
  readonly rules: DeliveryRules;
};

export type FinishedRequest = { readonly request: DueRequest; readonly result: AttemptResult };

export type StoppedEndpoint = {
  readonly id: string;
  readonly state: 'paused' | 'disabled';
  readonly reason: string | null;
};

/** What a group of finished requests came to, in deliveries. */
export type Finished = {
  readonly delivered: number;
  readonly dead: number;
  /** Leased by somebody else meanwhile. */
  readonly lost: number;
  readonly stopped: readonly StoppedEndpoint[];
};

const LEASE = 'select * from realtime.lease_deliveries($1, $2, $3, $4)';
const FINISH = `
  select delivered, dead, lost, stopped::text as stopped
  from realtime.finish_deliveries($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`;

export class DeliveryQueue {
  readonly #options: DeliveryQueueOptions;

  constructor(options: DeliveryQueueOptions) {
    this.#options = options;
  }

  /** Leases what is due, up to the room there is. Rejects when the database cannot be asked. */
  async lease(requestRoom: number, byteRoom: number): Promise<DueRequest[]> {
    const { pool, holder, leaseMs } = this.#options;
    const values = [holder, leaseMs, requestRoom, byteRoom];
    const { rows } = await pool.query<LeasedRow>({ name: 'rowcast_lease_deliveries', text: LEASE, values });
    return requestsOf(rows);
  }

  /** Writes what came of attempts, in the order in which they ended, in one transaction. */
  async finish(group: readonly FinishedRequest[]): Promise<Finished> {
    const { pool, holder, rules } = this.#options;
    const rows = group.flatMap((finished) => rowsOf(finished, rules));
    const columns = [0, 1, 2, 3, 4, 5, 6, 7].map((index) => rows.map((row) => row[index]));
    const bounds = [rules.initialMs, rules.maxMs, rules.giveUpMs, rules.pauseAfterMs];
    const values = [holder, ...columns, ...bounds];
    const answer = await pool.query<Omit<Finished, 'stopped'> & { stopped: string }>({
      name: 'rowcast_finish_deliveries',
      text: FINISH,
      values,
    });
    const row = must(answer.rows[0], 'what was finished');
    return { ...row, stopped: JSON.parse(row.stopped) };
  }
}

// The members of a batch share their fate; the answer is kept with the first.
function rowsOf({ request, result }: FinishedRequest, rules: RetryRules): unknown[][] {
  const attempts = Math.max(...request.members.map((member) => member.attempts));
  const retryMs = retryDelayMs(result, attempts, rules);
  return request.members.map((member, index) => [
    member.id,
    member.attempts,
    outcomeOf(result.kind),
    result.durationMs,
    result.status,
    result.error,
    index === 0 ? result.responseHead : null,
    retryMs,
  ]);
}

function outcomeOf(kind: AttemptResult['kind']): 'delivered' | 'failed' | 'gone' | 'released' {
  switch (kind) {
    case 'delivered':
    case 'gone':
    case 'released':
      return kind;
    default:
      return 'failed';
  }
}
