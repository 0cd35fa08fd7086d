// Owns the reading of a table at one instant, as whoever may see it: one transaction that sees everything of that instant
// and nothing later, under the role and claims of the reader, so that the user's own policies judge. The instant is taken
// again until it contains the transactions that were delivered already: a commit is streamed before it is visible (traps
// of Postgres, rule 2).

import type { Pool } from 'pg';
import { type ClaimsTransactionOptions, takeRole } from '../db/claims-transaction.ts';
import { classifyDatabaseError, isTransient } from '../db/sqlstate.ts';
import { must } from '../lib/assert.ts';
import { pause } from '../lib/backoff.ts';
import type { Logger } from '../lib/logger.ts';
import { TransactionSnapshot } from '../lib/transaction-snapshot.ts';
import { CURSOR, type OpenSnapshot, SnapshotCursor } from './snapshot-cursor.ts';
import type { SnapshotColumn } from './snapshot-rows.ts';
import { SnapshotLateError, SnapshotSession } from './snapshot-session.ts';

export type SnapshotStatement = {
  /** A select that gives whether the row is too large to be read, and then `columns` in their order. */
  readonly text: string;
  readonly columns: readonly SnapshotColumn[];
  /** Names of the columns that name a row; none where nothing does. */
  readonly key: readonly string[];
  /** Null: as the server's own login, without row security. */
  readonly as: Pick<ClaimsTransactionOptions, 'role' | 'claims'> | null;
};

export type SnapshotReaderOptions = {
  /** Of the server's own login. */
  readonly pool: Pool;
  /** Of the login that policies run on. */
  readonly policyPool: Pool;
  /** ROWCAST_ROLES. */
  readonly roles: readonly string[];
  /** How long a snapshot may be open in all. */
  readonly maxMs: number;
  readonly chunkBytes: number;
  readonly maxRowBytes: number;
  readonly log: Logger;
};

export type SnapshotOpening =
  | { readonly ok: true; readonly snapshot: OpenSnapshot }
  /** Denied, or a policy raised or took too long. Nothing of the failure is told: it may speak of hidden rows. */
  | { readonly ok: false; readonly message: string };

const DENIED: SnapshotOpening = { ok: false, message: 'The table may not be read, or a policy failed' };
const LATE: SnapshotOpening = { ok: false, message: 'The snapshot could not be read in time' };
/** Between two looks whether a transaction is visible. */
const LOOK_EVERY_MS = 5;

const BEGIN = 'begin isolation level repeatable read, read only';
const OWN = `select pg_catalog.set_config('row_security', 'off', true), pg_catalog.set_config('statement_timeout', $1, true)`;
// The first statement under the role: its snapshot is that of the transaction. Literals of a filter are read in UTC, as
// they are when changes are judged. All rows are wanted, not the first ones soon.
const INSTANT = `
  select pg_catalog.pg_current_snapshot()::text as snapshot, pg_catalog.current_setting('TimeZone') as zone,
    pg_catalog.set_config('TimeZone', 'UTC', true), pg_catalog.set_config('cursor_tuple_fraction', '1', true)`;
const SET_ZONE = `select pg_catalog.set_config('TimeZone', $1, true)`;

type Instant = { readonly contains: TransactionSnapshot; readonly zone: string };

export class SnapshotReader {
  readonly #options: SnapshotReaderOptions;

  constructor(options: SnapshotReaderOptions) {
    this.#options = options;
  }

  /**
   * Opens the snapshot and reads its first rows. `awaited` are the low 32 bits of transactions that it has to contain.
   * Whoever opens one closes it. Rejects when the database cannot be asked, or `signal` is aborted meanwhile.
   */
  async open(statement: SnapshotStatement, awaited: readonly number[], signal: AbortSignal): Promise<SnapshotOpening> {
    const { pool, policyPool, roles, maxMs } = this.#options;
    const { as } = statement;
    if (as !== null && !roles.includes(as.role)) return DENIED;
    const session = new SnapshotSession(await (as === null ? pool : policyPool).connect(), maxMs, signal);
    try {
      const opening = await this.#read(session, statement, awaited, signal);
      if (!opening.ok) await session.end();
      return opening;
    } catch (error) {
      await session.end();
      return this.#refusal(error, as?.role ?? null);
    }
  }

  async #read(
    session: SnapshotSession,
    { text, columns, key, as }: SnapshotStatement,
    awaited: readonly number[],
    signal: AbortSignal,
  ): Promise<SnapshotOpening> {
    const { maxMs: statementTimeoutMs, chunkBytes, maxRowBytes } = this.#options;
    const enter = async (): Promise<boolean> => {
      if (as !== null) return session.run((client) => takeRole(client, { ...as, statementTimeoutMs }));
      await session.query(OWN, [String(statementTimeoutMs)]);
      return true;
    };
    const instant = await instantWith(session, enter, awaited, signal);
    if (instant === undefined) return DENIED;
    await session.query(`declare ${CURSOR} no scroll cursor for ${text}`);
    // Policies may ask for the date: of the database, as in any SELECT.
    await session.query(SET_ZONE, [instant.zone]);
    const snapshot = new SnapshotCursor(session, instant.contains, { columns, key, chunkBytes, maxRowBytes });
    await snapshot.start();
    return { ok: true, snapshot };
  }

  #refusal(error: unknown, role: string | null): SnapshotOpening {
    if (error instanceof SnapshotLateError) return LATE;
    const { kind, sqlstate, message: reason } = classifyDatabaseError(error);
    if (kind === 'query_cancelled') return LATE;
    if (sqlstate === undefined || isTransient(kind)) throw error;
    // Closed by default: a policy that raises denies.
    this.#options.log.warn({ role, sqlstate, reason }, 'a snapshot was denied, a policy or a right failed');
    return DENIED;
  }
}

/** Begins transactions until one contains `awaited`; undefined where the role cannot be taken. */
async function instantWith(
  session: SnapshotSession,
  enter: () => Promise<boolean>,
  awaited: readonly number[],
  signal: AbortSignal,
): Promise<Instant | undefined> {
  for (;;) {
    await session.query(BEGIN);
    if (!(await enter())) return undefined;
    const { rows } = await session.query<{ snapshot: string; zone: string }>(INSTANT);
    const { snapshot, zone } = must(rows[0], 'a snapshot');
    const contains = new TransactionSnapshot(snapshot);
    if (awaited.every((xid) => contains.containsStreamed(xid))) return { contains, zone };
    await session.query('rollback');
    await pause(LOOK_EVERY_MS, signal);
  }
}
