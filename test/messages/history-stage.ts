// Owns a database with history in it that no server wrote: messages and changes of any time and position, counted as the
// journal counts them.

import { randomUUID } from 'node:crypto';
import type { Identity } from '../../server/auth/identity.ts';
import { formatPosition, type Position, toEpoch, toLsn } from '../../server/lib/position.ts';
import type { HistoryBound } from '../../server/messages/history-bound.ts';
import type { HistoryQuery } from '../../server/messages/history-query.ts';
import { HistoryReader } from '../../server/messages/history-reader.ts';
import { collectingLog, type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import type { TestPostgres } from '../rig/postgres.ts';

export type StagedMessage = {
  readonly place: number;
  /** ISO 8601. */
  readonly at: string;
  readonly channelId: string;
  readonly channel?: string | undefined;
  readonly event?: string | undefined;
  readonly sender?: string | undefined;
  /** JSON text. */
  readonly payload?: string | undefined;
  readonly deliveries?: readonly [made: number, acknowledged: number] | undefined;
};

export type StagedChange = {
  readonly place: number;
  readonly at: string;
  readonly relation: string;
  readonly op?: string | undefined;
  readonly payload?: string | undefined;
};

/** A message of history, parsed. */
// biome-ignore lint/suspicious/noExplicitAny: JSON of many shapes
export type Listed = Readonly<Record<string, any>> & { readonly position: string };

export const SYSTEM_IDENTIFIER = '7345678901234567890';

export type HistoryStage = AsyncDisposable & {
  readonly host: MigratedDatabase;
  readonly reader: HistoryReader;
  /** Makes a channel row; returns its id. */
  channel(pattern: string, retentionDays?: number): Promise<string>;
  /** As published long ago; placed in history, unless told otherwise. */
  messages(rows: readonly StagedMessage[], isPlaced?: boolean): Promise<void>;
  changes(rows: readonly StagedChange[]): Promise<void>;
  /** The answer as it would be sent. */
  text(query: Partial<HistoryQuery>, identity?: Identity): Promise<string>;
  list(query: Partial<HistoryQuery>, identity?: Identity): Promise<readonly Listed[]>;
};

export const ADMIN = identityOf('service_role', null, true);

export function identityOf(role: string, sub: string | null, isAdmin = false): Identity {
  const claims = { role, ...(sub === null ? {} : { sub }) };
  return { role, isAdmin, sub, claims, expiresAt: null, classKey: JSON.stringify(claims) };
}

/** The position of the transaction with that number. */
export function positionAt(place: number): Position {
  return formatPosition({ epoch: toEpoch(0x65a0_0000), lsn: toLsn(BigInt(place) * 64n), index: 0 });
}

export function timeBound(at: string): HistoryBound {
  return { kind: 'time', at };
}

export function positionBound(position: string): HistoryBound {
  return { kind: 'position', position: position as Position };
}

export async function openHistoryStage(postgres: TestPostgres): Promise<HistoryStage> {
  const host = await migratedDatabase(postgres);
  await host.sql('update realtime.checkpoint set system_identifier = $1', [SYSTEM_IDENTIFIER]);
  const { pool } = host.db;
  const reader = new HistoryReader({ pool, policyPool: pool, roles: ['anon', 'authenticated'], log: collectingLog() });
  const text = async (query: Partial<HistoryQuery>, identity = ADMIN): Promise<string> => {
    const answer = await reader.read({ order: 'desc', limit: 1_000, offset: 0, ...query }, identity);
    if (answer.kind === 'forbidden') throw new Error(answer.message);
    if (answer.kind === 'json') return answer.json;
    let whole = '';
    for await (const part of answer.parts) whole += part;
    return whole;
  };
  return {
    host,
    reader,
    text,
    list: async (query, identity) => JSON.parse(await text(query, identity)),
    channel: (pattern, retentionDays) => makeChannel(host, pattern, retentionDays),
    messages: (rows, isPlaced = true) => insertMessages(host, rows, isPlaced),
    changes: (rows) => insertChanges(host, rows),
    [Symbol.asyncDispose]: () => host.close(),
  };
}

async function makeChannel(
  host: MigratedDatabase,
  pattern: string,
  retentionDays: number | undefined,
): Promise<string> {
  if (pattern.startsWith('db:')) await host.sql(`create table if not exists ${pattern.slice(3)} (id int primary key)`);
  const [row] = await host.sql<{ id: string }>(
    'insert into realtime.channels (pattern, retention_days) values ($1, $2) returning id',
    [pattern, retentionDays ?? null],
  );
  return (row as { id: string }).id;
}

// Row triggers would put today's time into every row.
const INSERT_MESSAGES = `
  insert into realtime.messages (id, channel_id, channel_name, event_name, payload, sender_type, sender_id, wh_audience_count,
    wh_delivered_count, created_at)
  select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::text[], $7::text[], $8::int[], $9::int[],
    $10::timestamptz[])`;

async function insertMessages(
  host: MigratedDatabase,
  rows: readonly StagedMessage[],
  isPlaced: boolean,
): Promise<void> {
  const ids = rows.map(() => randomUUID());
  const client = await host.db.pool.connect();
  try {
    await client.query('begin; set local session_replication_role = replica');
    await client.query(INSERT_MESSAGES, [
      ids,
      rows.map(({ channelId }) => channelId),
      rows.map(({ channel }) => channel ?? 'a'),
      rows.map(({ event }) => event ?? 'e'),
      rows.map(({ payload }) => payload ?? 'null'),
      rows.map(({ sender }) => (sender === undefined ? 'system' : 'user')),
      rows.map(({ sender }) => sender ?? null),
      rows.map(({ deliveries }) => deliveries?.[0] ?? 0),
      rows.map(({ deliveries }) => deliveries?.[1] ?? 0),
      rows.map(({ at }) => at),
    ]);
    await client.query('set local session_replication_role = origin');
    const values = [ids, rows.map(({ at }) => at), rows.map(({ place }) => positionAt(place)), rows.map(() => 1)];
    if (isPlaced) await client.query('select realtime.journal_messages($1, $2, $3, $4)', values);
    // What webhooks will do with their counts.
    if (isPlaced) await client.query(COUNT_DELIVERIES, [ids]);
    await client.query('commit');
  } finally {
    client.release();
  }
}

const COUNT_DELIVERIES = `
  select realtime.add_message_counts('messages', false, array_agg(m.created_at), array_agg(m.channel_id::text),
    array_agg(m.event_name), array_agg(0::bigint), array_agg(m.wh_audience_count::bigint), array_agg(m.wh_delivered_count::bigint),
    array_agg(m.position), array_agg(m.position))
  from realtime.messages m where m.id = any ($1) and m.wh_audience_count > 0 having count(*) > 0`;

const INSERT_CHANGES = `
  with inserted as (
    insert into realtime.changes (position, committed_at, relation, op, payload)
    select * from unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[], $5::jsonb[])
    returning *)
  select realtime.add_message_counts('changes', false, array_agg(i.committed_at), array_agg(i.relation), array_agg(i.op),
    array_agg(1::bigint), array_agg(0::bigint), array_agg(0::bigint), array_agg(i.position), array_agg(i.position))
  from inserted i having count(*) > 0`;

async function insertChanges(host: MigratedDatabase, rows: readonly StagedChange[]): Promise<void> {
  await host.sql(INSERT_CHANGES, [
    rows.map(({ place }) => positionAt(place)),
    rows.map(({ at }) => at),
    rows.map(({ relation }) => relation),
    rows.map(({ op }) => op ?? 'INSERT'),
    rows.map(({ payload }) => payload ?? '{"schema": "public"}'),
  ]);
}
