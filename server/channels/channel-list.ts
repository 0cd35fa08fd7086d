// Owns the channel rows as admins manage them: read, made, changed and deleted, each in one statement, so that
// writers at the same time never mix. What follows from a row (publications, subscriptions) follows in SQL and by
// the review.

import type { Kysely, Selectable } from 'kysely';
import type { ChannelsTable, DatabaseTables } from '../db/schema.ts';
import { rfc3339 } from '../protocol/timestamp-text.ts';
import { type Channel, type ChannelFields, type ChannelResult, type NewChannel, NO_SUCH_CHANNEL } from './channel.ts';
import { findPatternFault, refusalOfWrite } from './channel-fault.ts';

const COLUMNS = [
  ...(['id', 'pattern', 'description', 'webhook_urls', 'enabled'] as const),
  ...(['created_at', 'updated_at', 'persist', 'retention_days'] as const),
] as const;

type Row = Pick<Selectable<ChannelsTable>, (typeof COLUMNS)[number]>;

export class ChannelList {
  readonly #database: Kysely<DatabaseTables>;

  constructor(database: Kysely<DatabaseTables>) {
    this.#database = database;
  }

  /** All of them, the oldest first. */
  async list(): Promise<readonly Channel[]> {
    const channels = this.#database.selectFrom('realtime.channels').select(COLUMNS);
    return (await channels.orderBy('created_at').orderBy('id').execute()).map(channelOf);
  }

  async get(id: string): Promise<ChannelResult> {
    const found = this.#database.selectFrom('realtime.channels').select(COLUMNS).where('id', '=', id);
    return resultOf(await found.executeTakeFirst());
  }

  async create(fields: NewChannel): Promise<ChannelResult> {
    const row = { ...columnsOf(fields), pattern: fields.pattern };
    const insert = this.#database.insertInto('realtime.channels').values(row).returning(COLUMNS);
    return written(fields, () => insert.executeTakeFirst());
  }

  /** Changes what is given, and nothing else. */
  async update(id: string, fields: ChannelFields): Promise<ChannelResult> {
    const columns = columnsOf(fields);
    if (Object.keys(columns).length === 0) return this.get(id);
    const update = this.#database.updateTable('realtime.channels').set(columns).where('id', '=', id);
    return written(fields, () => update.returning(COLUMNS).executeTakeFirst());
  }

  /** Ends its subscriptions; history stays. */
  async remove(id: string): Promise<ChannelResult> {
    const removal = this.#database.deleteFrom('realtime.channels').where('id', '=', id).returning(COLUMNS);
    return written({}, () => removal.executeTakeFirst());
  }
}

async function written({ pattern }: ChannelFields, write: () => Promise<Row | undefined>): Promise<ChannelResult> {
  const fault = findPatternFault(pattern);
  if (fault !== undefined) return { ok: false, refusal: fault };
  try {
    return resultOf(await write());
  } catch (error) {
    const refusal = refusalOfWrite(error);
    if (refusal === undefined) throw error;
    return { ok: false, refusal };
  }
}

function columnsOf({ pattern, description, webhookUrls, enabled, persist, retentionDays }: ChannelFields) {
  return {
    ...(pattern !== undefined && { pattern }),
    ...(description !== undefined && { description }),
    ...(webhookUrls !== undefined && { webhook_urls: webhookUrls === null ? null : [...webhookUrls] }),
    ...(enabled !== undefined && { enabled }),
    ...(persist !== undefined && { persist }),
    ...(retentionDays !== undefined && { retention_days: retentionDays }),
  };
}

function resultOf(row: Row | undefined): ChannelResult {
  return row === undefined ? NO_SUCH_CHANNEL : { ok: true, channel: channelOf(row) };
}

function channelOf(row: Row): Channel {
  return {
    id: row.id,
    pattern: row.pattern,
    description: row.description,
    webhookUrls: row.webhook_urls,
    enabled: row.enabled,
    createdAt: rfc3339(row.created_at),
    updatedAt: rfc3339(row.updated_at),
    persist: row.persist,
    retentionDays: row.retention_days,
  };
}
