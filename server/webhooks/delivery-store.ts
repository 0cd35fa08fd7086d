// Owns the deliveries as admins look at them: listed, shown with their attempts, and sent again: one of them, or all
// since a time. What is sent again has the same id and the same bytes; one of a batch goes into the next batch.

import { type Kysely, type Selectable, sql } from 'kysely';
import type { DatabaseTables, WebhookAttemptsTable, WebhookDeliveriesTable } from '../db/schema.ts';
import { rfc3339, rfc3339OrNull } from '../protocol/timestamp-text.ts';
import {
  type Attempt,
  type Delivery,
  type DeliveryQuery,
  type DeliveryWithAttempts,
  NO_SUCH_DELIVERY,
  type RecoveryQuery,
} from './delivery.ts';
import { NO_SUCH_ENDPOINT, refused, type WebhookResult } from './endpoint.ts';

export type DeliveryStoreOptions = {
  readonly database: Kysely<DatabaseTables>;
  /** How long what is sent again is tried. */
  readonly giveUpMs: number;
  /** Called when there is something to send at once. */
  readonly wake: () => void;
};

const COLUMNS = [
  ...(['id', 'endpoint_id', 'message_id', 'channel_name', 'event_name', 'source', 'state', 'attempts'] as const),
  ...(['batch_id', 'next_attempt_at', 'first_attempt_at', 'give_up_at', 'finished_at'] as const),
  ...(['last_status', 'last_error', 'created_at'] as const),
] as const;

type Row = Pick<Selectable<WebhookDeliveriesTable>, (typeof COLUMNS)[number]>;
type AttemptRow = Pick<
  Selectable<WebhookAttemptsTable>,
  'attempt' | 'started_at' | 'duration_ms' | 'status' | 'error' | 'response_head'
>;

/** Deliveries that one statement sends again: more of them would hold their locks for long. */
const SLICE = 2_000;

const UNKNOWN = { ok: false, refusal: NO_SUCH_ENDPOINT } as const;
const DISABLED = refused('conflict', 'This webhook is disabled: enable or resume it first');

export class DeliveryStore {
  readonly #options: DeliveryStoreOptions;

  constructor(options: DeliveryStoreOptions) {
    this.#options = options;
  }

  /** The newest first. */
  async list({ endpointId, state, channel, since, until, before, limit }: DeliveryQuery): Promise<readonly Delivery[]> {
    let query = this.#options.database.selectFrom('realtime.webhook_deliveries').select(COLUMNS);
    if (endpointId !== undefined) query = query.where('endpoint_id', '=', endpointId);
    if (state !== undefined) query = query.where('state', '=', state);
    if (channel !== undefined) query = query.where('channel_name', '=', channel);
    if (since !== undefined) query = query.where('created_at', '>=', since);
    if (until !== undefined) query = query.where('created_at', '<', until);
    if (before !== undefined) query = query.where('id', '<', BigInt(before));
    return (await query.orderBy('id', 'desc').limit(limit).execute()).map(deliveryOf);
  }

  async get(id: string): Promise<WebhookResult<DeliveryWithAttempts>> {
    const { database } = this.#options;
    const query = database.selectFrom('realtime.webhook_deliveries').select([...COLUMNS, 'body']);
    const row = await query.where('id', '=', BigInt(id)).executeTakeFirst();
    if (row === undefined) return { ok: false, refusal: NO_SUCH_DELIVERY };
    const attempts = await database
      .selectFrom('realtime.webhook_attempts')
      .select(['attempt', 'started_at', 'duration_ms', 'status', 'error', 'response_head'])
      .where('delivery_id', '=', BigInt(id))
      .orderBy('attempt')
      .execute();
    const body = row.body?.toString('utf8') ?? null;
    return { ok: true, value: { ...deliveryOf(row), body, attemptLog: attempts.map(attemptOf) } };
  }

  /** Sends an event that nobody published, as one of its own. */
  async test(endpointId: string): Promise<WebhookResult<Delivery>> {
    const { database, wake } = this.#options;
    const written = sql<{ id: bigint | null }>`select realtime.enqueue_test(${endpointId}) as id`;
    const { rows } = await written.execute(database);
    const id = rows[0]?.id ?? null;
    if (id === null) return (await this.#isOpen(endpointId)) === undefined ? UNKNOWN : DISABLED;
    wake();
    return this.get(String(id));
  }

  /** Sends one again that is finished, whatever became of it. */
  async resend(id: string): Promise<WebhookResult<Delivery>> {
    const { rows } = await sql<Row>`
      update realtime.webhook_deliveries as d set ${this.#again()}
      from realtime.webhook_endpoints as e
      where d.id = ${id}::bigint and d.state in ('delivered', 'dead', 'cancelled') and d.body is not null
        and e.id = d.endpoint_id and e.enabled and e.state <> 'disabled'
      returning ${sql.join(COLUMNS.map((column) => sql.ref(`d.${column}`)))}`.execute(this.#options.database);
    const [row] = rows;
    if (row === undefined) return this.#explain(id);
    this.#options.wake();
    return { ok: true, value: deliveryOf(row) };
  }

  /** Sends all of an endpoint again that the query finds; returns how many. Ends early when `signal` is aborted. */
  async recover(endpointId: string, query: RecoveryQuery, signal: AbortSignal): Promise<WebhookResult<number>> {
    const open = await this.#isOpen(endpointId);
    if (open === undefined) return UNKNOWN;
    if (!open) return DISABLED;
    let recovered = 0;
    for (let after: bigint | null = 0n; after !== null && !signal.aborted; ) {
      const slice = await this.#recoverSlice(endpointId, query, after);
      recovered += Number(slice.recovered);
      after = slice.last;
      if (recovered > 0) this.#options.wake();
    }
    return { ok: true, value: recovered };
  }

  async #recoverSlice(
    endpointId: string,
    { since, until, channel, event, states }: RecoveryQuery,
    after: bigint,
  ): Promise<{ recovered: bigint; last: bigint | null }> {
    const { rows } = await sql<{ recovered: bigint; last: bigint | null }>`
      with found as (
        select d.id from realtime.webhook_deliveries as d
        where d.endpoint_id = ${endpointId} and d.id > ${after} and d.state = any (${[...states]}::text[])
          and d.body is not null and d.created_at >= ${since}
          and (${until ?? null}::timestamptz is null or d.created_at < ${until ?? null})
          and (${channel ?? null}::text is null or d.channel_name = ${channel ?? null})
          and (${event ?? null}::text is null or d.event_name = ${event ?? null})
        order by d.id limit ${SLICE} for update
      ), again as (
        update realtime.webhook_deliveries as d set ${this.#again()} from found as f where d.id = f.id returning d.id
      )
      select count(*) as recovered, max(a.id) as last from again as a`.execute(this.#options.database);
    return rows[0] ?? { recovered: 0n, last: null };
  }

  // Attempts go on being counted, for each has its line in the log. That it was counted as delivered stays so.
  #again() {
    return sql`
      state = 'pending', next_attempt_at = now(), give_up_at = now() + make_interval(secs => ${this.#options.giveUpMs / 1000}),
      finished_at = null, batch_id = null, batch_index = null, lease_holder = null, lease_expires_at = null`;
  }

  async #isOpen(endpointId: string): Promise<boolean | undefined> {
    const query = this.#options.database.selectFrom('realtime.webhook_endpoints').select(['enabled', 'state']);
    const row = await query.where('id', '=', endpointId).executeTakeFirst();
    return row === undefined ? undefined : row.enabled && row.state !== 'disabled';
  }

  async #explain(id: string): Promise<WebhookResult<never>> {
    const found = await this.get(id);
    if (!found.ok) return found;
    const { state, body } = found.value;
    if (state === 'hidden') return refused('conflict', 'The role of this webhook may not see that row');
    if (body === null || state === 'pending' || state === 'leased' || state === 'unjudged')
      return refused('conflict', 'This delivery is on its way');
    return DISABLED;
  }
}

function deliveryOf(row: Row): Delivery {
  return {
    id: String(row.id),
    endpointId: row.endpoint_id,
    messageId: row.message_id,
    channelName: row.channel_name,
    event: row.event_name,
    source: row.source,
    state: row.state,
    attempts: row.attempts,
    batchId: row.batch_id,
    nextAttemptAt: row.state === 'pending' ? rfc3339(row.next_attempt_at) : null,
    firstAttemptAt: rfc3339OrNull(row.first_attempt_at),
    giveUpAt: rfc3339OrNull(row.give_up_at),
    finishedAt: rfc3339OrNull(row.finished_at),
    lastStatus: row.last_status,
    lastError: row.last_error,
    createdAt: rfc3339(row.created_at),
  };
}

function attemptOf(row: AttemptRow): Attempt {
  return {
    attempt: row.attempt,
    startedAt: rfc3339(row.started_at),
    durationMs: row.duration_ms,
    status: row.status,
    error: row.error,
    responseHead: row.response_head,
  };
}
