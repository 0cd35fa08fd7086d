// Owns the endpoints as admins manage them: read, made, changed, paused, resumed, rotated and deleted, each in one
// statement. Those that a channel's webhookUrls made are the channel's: here neither their place nor their end changes.

import { type Kysely, sql } from 'kysely';
import type { DatabaseTables } from '../db/schema.ts';
import { must } from '../lib/assert.ts';
import {
  type Endpoint,
  type EndpointFields,
  type EndpointWithSecret,
  type NewEndpoint,
  NO_SUCH_ENDPOINT,
  refusalOfWrite,
  refused,
  type WebhookResult,
} from './endpoint.ts';
import {
  columnsOf,
  ENDPOINT_COLUMNS,
  type EndpointRow,
  endpointOf,
  HAS_TOKEN,
  newInFlight,
} from './endpoint-columns.ts';
import { checkedFields, type EndpointRules } from './endpoint-fault.ts';

export type EndpointStoreOptions = EndpointRules & {
  readonly database: Kysely<DatabaseTables>;
  /** Called when there may be something to send at once. */
  readonly wake: () => void;
};

const NEW_SECRET = sql<string>`realtime.webhook_secret()`;
const TABLE = 'realtime.webhook_endpoints';
const OF_CHANNEL = 'This webhook is one of a channel: its URL and pattern follow from the webhookUrls of that channel';
const REMOVED = 'This webhook is no longer in the webhookUrls of its channel: put the URL back there';

export class EndpointStore {
  readonly #options: EndpointStoreOptions;

  constructor(options: EndpointStoreOptions) {
    this.#options = options;
  }

  /** All of them, those of channels as well, the oldest first. */
  async list(): Promise<readonly Endpoint[]> {
    const rows = await this.#select().orderBy('created_at').orderBy('id').execute();
    return rows.map(endpointOf);
  }

  async get(id: string): Promise<WebhookResult<Endpoint>> {
    return resultOf(await this.#select().where('id', '=', id).executeTakeFirst());
  }

  /** Makes an endpoint with a new secret, which is shown here alone. */
  async create(fields: NewEndpoint): Promise<WebhookResult<EndpointWithSecret>> {
    const checked = checkedFields(fields, this.#options);
    if (!checked.ok) return checked;
    const { url, pattern } = checked.value;
    const more = { secret: NEW_SECRET, max_in_flight: newInFlight(fields) };
    const insert = this.#options.database
      .insertInto(TABLE)
      .values({ ...columnsOf(checked.value), url, pattern, ...more });
    const inserted = insert.returning([...ENDPOINT_COLUMNS, HAS_TOKEN, 'secret']);
    return written(() => inserted.executeTakeFirst(), withSecret);
  }

  /** Changes what is given, and nothing else. What was written for it already keeps its body. */
  async update(id: string, fields: EndpointFields): Promise<WebhookResult<Endpoint>> {
    const checked = checkedFields(fields, this.#options);
    if (!checked.ok) return checked;
    const columns = columnsOf(checked.value);
    if (Object.keys(columns).length === 0) return this.get(id);
    const isPlace = fields.url !== undefined || fields.pattern !== undefined;
    const condition = isPlace ? sql`channel_id is null` : sql`true`;
    const changed = await written(() => this.#change(id, columns, condition), endpointOf);
    if (changed.ok) this.#options.wake();
    return changed.ok ? changed : this.#explain(id, changed, OF_CHANNEL);
  }

  /** It goes on collecting; nothing is sent until it is resumed. */
  async pause(id: string): Promise<WebhookResult<Endpoint>> {
    const columns = { state: 'paused', state_reason: 'paused by an admin', state_changed_at: sql`now()` };
    const paused = await written(() => this.#change(id, columns, sql`state <> 'disabled'`), endpointOf);
    return this.#explain(id, paused, 'This webhook is disabled: it collects nothing that could wait');
  }

  /** Active again, whatever stopped it; what has waited is due at once. */
  async resume(id: string): Promise<WebhookResult<Endpoint>> {
    const { rows } = await resumption(id).execute(this.#options.database);
    if (rows.length > 0) this.#options.wake();
    return rows.length > 0 ? this.get(id) : this.#explain(id, resultOf(undefined), REMOVED);
  }

  /** Gives it a new secret; the old one signs as well for a day, so that receivers can change over. */
  async rotate(id: string): Promise<WebhookResult<EndpointWithSecret>> {
    const rotation = this.#options.database.updateTable(TABLE).set({
      secret: NEW_SECRET,
      previous_secret: sql`secret`,
      previous_secret_expires_at: sql`now() + interval '24 hours'`,
      updated_at: sql`now()`,
    });
    const rotated = rotation.where('id', '=', id).returning([...ENDPOINT_COLUMNS, HAS_TOKEN, 'secret']);
    return written(() => rotated.executeTakeFirst(), withSecret);
  }

  /** Ends it with its deliveries. */
  async remove(id: string): Promise<WebhookResult<Endpoint>> {
    const removal = this.#options.database.deleteFrom(TABLE).where('id', '=', id).where('channel_id', 'is', null);
    const removed = resultOf(await removal.returning([...ENDPOINT_COLUMNS, HAS_TOKEN]).executeTakeFirst());
    return this.#explain(id, removed, OF_CHANNEL);
  }

  #select() {
    return this.#options.database.selectFrom(TABLE).select([...ENDPOINT_COLUMNS, HAS_TOKEN]);
  }

  #change(id: string, columns: object, condition: ReturnType<typeof sql>): Promise<EndpointRow | undefined> {
    const change = this.#options.database.updateTable(TABLE).set({ ...columns, updated_at: sql`now()` });
    return change
      .where('id', '=', id)
      .where(sql<boolean>`${condition}`)
      .returning([...ENDPOINT_COLUMNS, HAS_TOKEN])
      .executeTakeFirst();
  }

  // No row was touched: either there is none, or its condition does not hold.
  async #explain(id: string, result: WebhookResult<Endpoint>, conflict: string): Promise<WebhookResult<Endpoint>> {
    if (result.ok || result.refusal.code !== 'not_found') return result;
    return (await this.get(id)).ok ? refused('conflict', conflict) : result;
  }
}

// Deliveries are touched in the order of their ids, as everybody does.
function resumption(id: string) {
  return sql<{ id: string }>`
    with resumed as (
      update realtime.webhook_endpoints as e
      set state = 'active', state_reason = null, state_changed_at = now(), updated_at = now(),
        consecutive_failures = 0, failing_since = null, next_attempt_at = null
      where e.id = ${id} and (e.channel_id is null
        or exists (select from realtime.channels as c where c.id = e.channel_id and e.url = any (c.webhook_urls)))
      returning e.id
    ), due as (
      update realtime.webhook_deliveries as d set next_attempt_at = now()
      from resumed as r where d.endpoint_id = r.id and d.state = 'pending' and d.next_attempt_at > now()
    )
    select r.id from resumed as r`;
}

async function written<Row extends EndpointRow, T>(
  write: () => Promise<Row | undefined>,
  shown: (row: Row) => T,
): Promise<WebhookResult<T>> {
  try {
    const row = await write();
    return row === undefined ? { ok: false, refusal: NO_SUCH_ENDPOINT } : { ok: true, value: shown(row) };
  } catch (error) {
    const refusal = refusalOfWrite(error);
    if (refusal === undefined) throw error;
    return { ok: false, refusal };
  }
}

function withSecret(row: EndpointRow & { readonly secret: string | null }): EndpointWithSecret {
  return { ...endpointOf(row), secret: must(row.secret, 'the new secret') };
}

function resultOf(row: EndpointRow | undefined): WebhookResult<Endpoint> {
  return row === undefined ? { ok: false, refusal: NO_SUCH_ENDPOINT } : { ok: true, value: endpointOf(row) };
}
