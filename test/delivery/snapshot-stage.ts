// Owns the reading of snapshots in tests: the real planner and reader over a migrated database and the real policy login,
// for whoever a test names.

import { makeIdentity } from '../../server/auth/make-identity.ts';
import { TypeResolver } from '../../server/changes/type-resolver.ts';
import { settlePolicyLogin } from '../../server/db/policy-login.ts';
import { type Database, openPool } from '../../server/db/pools.ts';
import { readTypes } from '../../server/db/type-rows.ts';
import { snapshotPlanner } from '../../server/delivery/snapshot-plan.ts';
import type { Subscription } from '../../server/hub/subscription.ts';
import { must } from '../../server/lib/assert.ts';
import type { TransactionSnapshot } from '../../server/lib/transaction-snapshot.ts';
import type { OpenSnapshot } from '../../server/messages/snapshot-cursor.ts';
import {
  type SnapshotOpening,
  SnapshotReader,
  type SnapshotReaderOptions,
  type SnapshotStatement,
} from '../../server/messages/snapshot-reader.ts';
import type { SnapshotChunk } from '../../server/messages/snapshot-rows.ts';
import { makeTableFilter } from '../../server/policies/row-filter.ts';
import { TableRulesStore } from '../../server/policies/table-rules-store.ts';
import { parseWhere } from '../../server/protocol/where.ts';
import { collectingLog, type MigratedDatabase } from '../db/migrated.ts';
import { STANDARD } from '../rig/migrated-template.ts';

export type Reader = {
  readonly role: string;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly where?: unknown;
  readonly columns?: readonly string[];
};

/** What a snapshot gave. */
export type Seen = {
  readonly key: readonly string[];
  /** Texts of the rows. */
  readonly rows: readonly string[];
  readonly truncated: readonly number[];
  readonly contains: TransactionSnapshot;
};

export interface SnapshotStage extends AsyncDisposable {
  readonly log: ReturnType<typeof collectingLog>;
  readonly pools: readonly Database[];
  plan(channel: string, reader: Reader): Promise<SnapshotStatement | undefined>;
  open(statement: SnapshotStatement, options?: OpenOptions): Promise<SnapshotOpening>;
  /** Opens, or fails with what it was refused with. */
  opened(channel: string, reader: Reader, options?: OpenOptions): Promise<OpenSnapshot>;
  /** Reads it to its end. */
  read(channel: string, reader: Reader, options?: OpenOptions): Promise<Seen>;
}

export type OpenOptions = Partial<Pick<SnapshotReaderOptions, 'maxMs' | 'chunkBytes' | 'maxRowBytes'>> & {
  readonly awaited?: readonly number[];
  readonly signal?: AbortSignal;
};

const BOUNDS = { maxMs: 20_000, chunkBytes: 64 * 1024, maxRowBytes: 256 * 1024 };

/** `roles` are those of the allow-list beside `anon` and `authenticated`. */
export async function openSnapshotStage(host: MigratedDatabase, roles: readonly string[] = []): Promise<SnapshotStage> {
  const log = collectingLog();
  const allowed = [...STANDARD.appRoles, ...roles];
  const { url } = host.database;
  const settled = await settlePolicyLogin({
    pool: host.db.pool,
    databaseUrl: url,
    policyUrl: undefined,
    roles: allowed,
    log,
  });
  if (!settled.ok) throw new Error(settled.message);
  const common = { max: 2, statementTimeoutMs: 20_000, log };
  const own = openPool({ ...common, connectionString: url, applicationName: 'own' });
  const policies = openPool({
    ...common,
    connectionString: settled.url,
    applicationName: 'snapshots',
    unpinned: ['TimeZone'],
  });
  const types = new TypeResolver((oids) => readTypes(own.pool, oids));
  const rules = new TableRulesStore(own.pool, allowed);
  const planFor = (maxRowBytes: number) => snapshotPlanner({ pool: own.pool, rules, types, maxRowBytes });
  const open = (statement: SnapshotStatement, options: OpenOptions = {}): Promise<SnapshotOpening> => {
    const { awaited = [], signal = new AbortController().signal, ...bounds } = options;
    const pools = { pool: own.pool, policyPool: policies.pool, roles: allowed };
    return new SnapshotReader({ ...pools, ...BOUNDS, ...bounds, log }).open(statement, awaited, signal);
  };
  const plan = (channel: string, reader: Reader, maxRowBytes = BOUNDS.maxRowBytes) =>
    planFor(maxRowBytes)(subscriptionOf(channel, reader));
  const opened = async (channel: string, reader: Reader, options?: OpenOptions): Promise<OpenSnapshot> => {
    const statement = must(await plan(channel, reader, options?.maxRowBytes), 'a statement');
    const opening = await open(statement, options);
    if (!opening.ok) throw new Error(opening.message);
    return opening.snapshot;
  };
  return {
    log,
    pools: [own, policies],
    plan: (channel, reader) => plan(channel, reader),
    open,
    opened,
    read: async (channel, reader, options) => {
      const { key } = must(await plan(channel, reader), 'a statement');
      return { key, ...(await readAll(await opened(channel, reader, options))) };
    },
    [Symbol.asyncDispose]: async () => {
      await own.close();
      await policies.close();
    },
  };
}

async function readAll(snapshot: OpenSnapshot): Promise<Omit<Seen, 'key'>> {
  const rows: string[] = [];
  const truncated: number[] = [];
  for (let chunk = await snapshot.next(); chunk !== undefined; chunk = await snapshot.next()) {
    truncated.push(...chunk.truncated.map((place) => place + rows.length));
    rows.push(...rowsOf(chunk));
  }
  await snapshot.close();
  return { rows, truncated, contains: snapshot.contains };
}

/** The texts of a chunk's rows; values of the tests have none of what they are cut by. */
export function rowsOf({ rows, count }: SnapshotChunk): string[] {
  const text = Buffer.from(rows).toString();
  const parsed = JSON.parse(text) as object[];
  if (parsed.length !== count) throw new Error(`${count} rows were announced, ${parsed.length} came`);
  if (count === 1) return [text.slice(1, -1)];
  const texts = text.slice(1, -1).split('},{');
  if (texts.length !== count) return parsed.map((row) => JSON.stringify(row));
  return texts.map((row, at) => `${at === 0 ? '' : '{'}${row}${at === count - 1 ? '' : '}'}`);
}

function subscriptionOf(channel: string, { role, claims = {}, where, columns }: Reader): Subscription {
  const parsed = where === undefined ? undefined : parseWhere(where);
  if (parsed?.ok === false) throw new Error(parsed.message);
  const filter = makeTableFilter(parsed?.where ?? null, columns ?? null);
  const identity = makeIdentity({ role, isAdmin: role === 'service_role', claims });
  const spec = { dialect: 'rowcast', channelName: channel, events: null, filter, identity };
  return { channel, group: { spec } } as unknown as Subscription;
}
