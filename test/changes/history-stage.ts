// Owns the way of row changes into history and back, without a server: a slot over all tables of `public`, decoded and
// translated as live, written by the journal's own COPY, and read back from realtime.changes.

import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import type { ChangeMessage } from '../../server/changes/change-message.ts';
import { RowImages, type Side } from '../../server/changes/row-image.ts';
import type { StoredChange } from '../../server/changes/stored-change.ts';
import { StoredChanges } from '../../server/changes/stored-changes.ts';
import type { StoredTable } from '../../server/changes/stored-table.ts';
import { Translator } from '../../server/changes/translator.ts';
import { TypeResolver } from '../../server/changes/type-resolver.ts';
import { readPrimaryKey } from '../../server/db/primary-key.ts';
import { readTypes } from '../../server/db/type-rows.ts';
import { FrameVariant } from '../../server/delivery/frame-variant.ts';
import {
  COPY_CHANGES,
  type EncodePayload,
  encodeHistory,
  JSON_AS_IS,
  JSON_AS_TEXT,
} from '../../server/delivery/history-rows.ts';
import { ENTER, LEAVE, SAME } from '../../server/delivery/view-event.ts';
import { must } from '../../server/lib/assert.ts';
import { type Epoch, toEpoch, ZERO_LSN } from '../../server/lib/position.ts';
import { changeIdMask, changeIds } from '../../server/messages/change-ids.ts';
import { PgoutputDecoder } from '../../server/replication/pgoutput-decoder.ts';
import type { WalEntry } from '../../server/replication/wal-entry.ts';
import { type MigratedDatabase, migratedDatabase } from '../db/migrated.ts';
import type { TestPostgres } from '../rig/postgres.ts';

const SYSTEM = '7';
const EPOCH: Epoch = toEpoch(1);
const IDENTITY_COLUMNS = `
  select a.attname::text as name
  from pg_class c join pg_index i on i.indrelid = c.oid
    and case c.relreplident when 'i' then i.indisreplident else i.indisprimary end
  join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.indkey)
  where c.oid = $1`;

export interface HistoryStage extends AsyncDisposable {
  readonly host: MigratedDatabase;
  sql: MigratedDatabase['sql'];
  /** The changes since the last call, as the stream gave them; they are in history now. */
  live(maxPayloadBytes?: number): Promise<ChangeMessage[]>;
  /** All of a table that is in history, restored. `hint` says what the replica identity is. */
  restored(table: string, options?: RestoreOptions): Promise<ChangeMessage[]>;
  stored(table: string): Promise<StoredChange[]>;
  describe(table: string): Promise<StoredTable>;
}

export type RestoreOptions = { readonly maxPayloadBytes?: number; readonly knowsIdentity?: boolean };

const MAX_PAYLOAD_BYTES = 256 * 1024;

export async function openHistoryStage(postgres: TestPostgres, setup: string): Promise<HistoryStage> {
  const host = await migratedDatabase(postgres);
  const { pool } = host.db;
  const generated = postgres.version >= 18 ? ' with (publish_generated_columns = stored)' : '';
  await pool.query(setup);
  await pool.query(`create publication stage for tables in schema public${generated}`);
  await pool.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [host.database.slot]);
  const types = new TypeResolver((oids) => readTypes(pool, oids));
  const decoder = new PgoutputDecoder({ epoch: EPOCH, handled: ZERO_LSN });
  const restorers = new Map<number, StoredChanges>();
  const known = new Map<string, StoredTable>();
  /** The same object for the same table, as long as it does not change. */
  const same = (table: StoredTable): StoredTable => {
    const text = JSON.stringify(table);
    if (!known.has(text)) known.set(text, table);
    return known.get(text) as StoredTable;
  };
  const describe = (table: string): Promise<StoredTable> => describeTable(host, table);
  const stored = (table: string): Promise<StoredChange[]> => readStored(host, table);
  return {
    host,
    sql: host.sql,
    live: async (maxPayloadBytes = MAX_PAYLOAD_BYTES) => {
      const translator = new Translator({
        epoch: EPOCH,
        messageIdMask: changeIdMask(SYSTEM),
        types,
        readPrimaryKey: (oid) => readPrimaryKey(pool, oid),
        maxPayloadBytes,
      });
      const entries = await streamed(host, decoder);
      const { messages } = await translator.translate({ entries, bytes: 0 });
      const changes = messages.filter((message) => message.kind === 'change');
      await keep(host, changes);
      return changes;
    },
    restored: async (table, { maxPayloadBytes = MAX_PAYLOAD_BYTES, knowsIdentity = true } = {}) => {
      const { identity, ...rest } = await describe(table);
      const described = same(knowsIdentity ? { ...rest, identity } : rest);
      const restorer = restorers.get(maxPayloadBytes) ?? new StoredChanges({ types, maxPayloadBytes });
      restorers.set(maxPayloadBytes, restorer);
      return restorer.restore(described, await stored(table), changeIds(SYSTEM));
    },
    stored,
    describe,
    [Symbol.asyncDispose]: () => host.close(),
  };
}

async function streamed({ sql, database }: MigratedDatabase, decoder: PgoutputDecoder): Promise<WalEntry[]> {
  const rows = await sql<{ data: Buffer }>(
    `select data from pg_logical_slot_get_binary_changes($1, null, null, 'proto_version', '1', 'publication_names', 'stage')`,
    [database.slot],
  );
  return rows.flatMap(({ data }) => decoder.decode(data, 0, data.length) ?? []);
}

/** As the journal does: together, and where jsonb cannot hold them, each for itself, as text if need be. */
async function keep({ db }: MigratedDatabase, changes: readonly ChangeMessage[]): Promise<void> {
  const client = await db.pool.connect();
  try {
    await copy(client, changes, JSON_AS_IS).catch(async () => {
      for (const change of changes) {
        await copy(client, [change], JSON_AS_IS).catch(() => copy(client, [change], JSON_AS_TEXT));
      }
    });
  } finally {
    client.release();
  }
}

async function copy(client: PoolClient, changes: readonly ChangeMessage[], encode: EncodePayload): Promise<void> {
  const entries = changes.map((message) => ({ message, audienceCount: 0, bytes: 0 }));
  const rows = encodeHistory(entries, BigInt, encode);
  await pipeline(Readable.from(rows, { objectMode: true }), client.query(copyFrom(COPY_CHANGES)));
}

function readStored({ sql }: MigratedDatabase, table: string): Promise<StoredChange[]> {
  return sql<StoredChange>(
    `select position, op, xid, (extract(epoch from committed_at) * 1000000)::int8 - 946684800000000 as "commitMicros",
       payload::text as payload, old_image::text as "oldImage", new_image::text as "newImage"
     from realtime.changes where relation = $1 order by position`,
    [table],
  );
}

async function describeTable({ sql }: MigratedDatabase, table: string): Promise<StoredTable> {
  const [found] = await sql<{ oid: number; schema: string; name: string }>(
    `select c.oid, n.nspname::text as schema, c.relname::text as name
     from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = $1::regclass`,
    [table],
  );
  const { oid, schema, name } = must(found, 'a table');
  const columns = await sql<{ name: string; typeOid: number }>(
    `select attname::text as name, atttypid as "typeOid" from pg_attribute
     where attrelid = $1 and attnum > 0 and not attisdropped order by attnum`,
    [oid],
  );
  const names = async (text: string): Promise<string[]> =>
    (await sql<{ name: string }>(text, [oid])).map((row) => row.name);
  const key = await names(IDENTITY_COLUMNS.replace('i.indisreplident', 'i.indisprimary'));
  return { oid, schema, name, columns, key, identity: await names(IDENTITY_COLUMNS) };
}

/** All that is ever told or asked of a change, as text: whole, in part, coming into view and leaving it; its images. */
export function facesOf(change: ChangeMessage, wanted: readonly string[], maxPayloadBytes = MAX_PAYLOAD_BYTES): object {
  const { kind, channel, event, position, messageId, timestamp, transaction, relation, row } = change;
  const told = { kind, channel, event, position, messageId, timestamp, transaction };
  const { oid, schema, name } = relation;
  const payload = text(change.payload);
  if (row === null) return { ...told, oid, schema, name, payload };
  const mask = row.encoder.mask(relation, null, new Set(wanted));
  const views = event === 'UPDATE' ? [SAME, ENTER, LEAVE] : [SAME];
  const frames = [null, mask].flatMap((columns) => {
    const spec = {
      dialect: 'rowcast' as const,
      channelName: 'db:t',
      subscriptionId: undefined,
      mask: columns,
      maxPayloadBytes,
    };
    return views.map((view) => text(new FrameVariant([change], spec).frame(0, view)));
  });
  return {
    ...told,
    oid,
    schema,
    name,
    payload,
    frames,
    images: (['new', 'old'] as const).map((side) => image(change, side)),
  };
}

/** The texts that are judged, by column. */
function image({ relation, row }: ChangeMessage, side: Side): object | null {
  const place = new RowImages(relation).add(must(row, 'a row').entry, side);
  if (place === undefined) return null;
  const { places, isCut } = place.set;
  const names = new Set(places.filter((name) => name !== null));
  return { columns: [...names], isCut, literal: place.set.literals(names)[0] };
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString();
}
