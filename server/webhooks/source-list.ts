// Owns the sources as admins manage them: read, made, changed, rotated and deleted, each in one statement. The
// channel of a source follows in SQL; the streams that its token opened end before the answer is given.

import { randomBytes } from 'node:crypto';
import { type Kysely, type Selectable, sql } from 'kysely';
import type { DatabaseTables, SourcesTable } from '../db/schema.ts';
import { rfc3339, rfc3339OrNull } from '../protocol/timestamp-text.ts';
import {
  type NewSource,
  NO_SUCH_SOURCE,
  refusalOfWrite,
  type Source,
  type SourceFields,
  type SourceResult,
  type SourceUsage,
  type SourceWithToken,
} from './source.ts';
import { makeToken, type SourceTokens } from './source-tokens.ts';

const COLUMNS = [
  ...(['id', 'name', 'slug', 'channel', 'plan', 'monthly_limit', 'verification_secret'] as const),
  ...(['enabled', 'rotated_at', 'created_at', 'updated_at'] as const),
] as const;

type Row = Pick<Selectable<SourcesTable>, (typeof COLUMNS)[number]>;
type UsageRow = { month: string; accepted: bigint; monthly_limit: number | null };

const SLUG_BYTES = 18;

export class SourceList {
  readonly #database: Kysely<DatabaseTables>;
  readonly #tokens: Pick<SourceTokens, 'look'>;

  constructor(database: Kysely<DatabaseTables>, tokens: Pick<SourceTokens, 'look'>) {
    this.#database = database;
    this.#tokens = tokens;
  }

  /** All of them, the oldest first. */
  async list(): Promise<readonly Source[]> {
    const sources = this.#database.selectFrom('realtime.sources').select(COLUMNS);
    return (await sources.orderBy('created_at').orderBy('id').execute()).map(sourceOf);
  }

  async get(id: string): Promise<SourceResult> {
    const found = this.#database.selectFrom('realtime.sources').select(COLUMNS).where('id', '=', id);
    return resultOf(await found.executeTakeFirst());
  }

  /** Makes a source with a new slug and a new token. */
  async create(fields: NewSource): Promise<SourceResult<SourceWithToken>> {
    const { token, hash } = makeToken();
    const slug = randomBytes(SLUG_BYTES).toString('base64url');
    const row = { ...columnsOf(fields), name: fields.name, slug, token_hash: hash };
    const insert = this.#database.insertInto('realtime.sources').values(row).returning(COLUMNS);
    return withToken(await written(() => insert.executeTakeFirst()), token);
  }

  /** Changes what is given, and nothing else. */
  async update(id: string, fields: SourceFields): Promise<SourceResult> {
    const columns = columnsOf(fields);
    if (Object.keys(columns).length === 0) return this.get(id);
    const result = await written(() => this.#change(id, columns));
    if (fields.enabled === false) await this.#endStreams();
    return result;
  }

  /** Gives it a new token; what the old one opened ends. */
  async rotate(id: string): Promise<SourceResult<SourceWithToken>> {
    const { token, hash } = makeToken();
    const result = await written(() => this.#change(id, { token_hash: hash, rotated_at: sql`now()` }));
    await this.#endStreams();
    return withToken(result, token);
  }

  /** Ends its streams and its channel; what it received stays in the history, its figures do not. */
  async remove(id: string): Promise<SourceResult> {
    const removal = this.#database.deleteFrom('realtime.sources').where('id', '=', id).returning(COLUMNS);
    const result = resultOf(await removal.executeTakeFirst());
    await this.#endStreams();
    return result;
  }

  /** What it accepted in a month, `2024-05`; in the present one if none is given. Undefined if there is no such source. */
  async usage(id: string, month?: string): Promise<SourceUsage | undefined> {
    const { rows } = await usageQuery(id, month).execute(this.#database);
    const [row] = rows;
    if (row === undefined) return undefined;
    return { month: row.month, accepted: Number(row.accepted), limit: row.monthly_limit };
  }

  #change(id: string, columns: object): Promise<Row | undefined> {
    const change = this.#database.updateTable('realtime.sources').set({ ...columns, updated_at: sql`now()` });
    return change.where('id', '=', id).returning(COLUMNS).executeTakeFirst();
  }

  // If the database cannot be asked any more, the next look ends them.
  async #endStreams(): Promise<void> {
    await this.#tokens.look().catch(() => undefined);
  }
}

// The limit of a month that is over is the one by which it was counted.
function usageQuery(id: string, month: string | undefined) {
  return sql<UsageRow>`
    select to_char(m.first_day, 'YYYY-MM') as month, coalesce(u.accepted, 0) as accepted,
      case when u.month < m.this_month then u.monthly_limit
        else realtime.source_limit(s.plan, s.monthly_limit) end as monthly_limit
    from realtime.sources as s
    cross join lateral (
      select n.this_month, coalesce(to_date(${month ?? null}::text, 'YYYY-MM'), n.this_month) as first_day
      from (select date_trunc('month', now() at time zone 'UTC')::date as this_month) as n) as m
    left join realtime.source_usage as u on u.source_id = s.id and u.month = m.first_day
    where s.id = ${id}`;
}

async function written(write: () => Promise<Row | undefined>): Promise<SourceResult> {
  try {
    return resultOf(await write());
  } catch (error) {
    const refusal = refusalOfWrite(error);
    if (refusal === undefined) throw error;
    return { ok: false, refusal };
  }
}

function columnsOf({ name, plan, monthlyLimit, enabled, verificationSecret }: SourceFields) {
  return {
    ...(name !== undefined && { name }),
    ...(plan !== undefined && { plan }),
    ...(monthlyLimit !== undefined && { monthly_limit: monthlyLimit }),
    ...(enabled !== undefined && { enabled }),
    ...(verificationSecret !== undefined && { verification_secret: verificationSecret }),
  };
}

function withToken(result: SourceResult, token: string): SourceResult<SourceWithToken> {
  return result.ok ? { ok: true, source: { ...result.source, token } } : result;
}

function resultOf(row: Row | undefined): SourceResult {
  return row === undefined ? { ok: false, refusal: NO_SUCH_SOURCE } : { ok: true, source: sourceOf(row) };
}

function sourceOf(row: Row): Source {
  return {
    id: row.id,
    name: row.name,
    slug: row.slug,
    path: `/api/in/${row.slug}`,
    channel: row.channel,
    plan: row.plan,
    monthlyLimit: row.monthly_limit,
    enabled: row.enabled,
    verifiesSignature: row.verification_secret !== null,
    rotatedAt: rfc3339OrNull(row.rotated_at),
    createdAt: rfc3339(row.created_at),
    updatedAt: rfc3339(row.updated_at),
  };
}
