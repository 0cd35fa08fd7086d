// Owns an open snapshot: its rows, fetched as they are wanted, few enough at once that they fit into memory also where each
// is as large as a message may be. When the last is fetched the transaction is over, although chunks may still wait for
// their reader.

import pg, { type PoolClient } from 'pg';
import type { TransactionSnapshot } from '../lib/transaction-snapshot.ts';
import { type SnapshotChunk, SnapshotRows, type SnapshotRowsOptions } from './snapshot-rows.ts';
import type { SnapshotSession } from './snapshot-session.ts';

export interface OpenSnapshot {
  /** What the rows contain. */
  readonly contains: TransactionSnapshot;
  /** The next chunk; undefined behind the last. Rejects when reading fails or takes too long; then it is closed. */
  next(): Promise<SnapshotChunk | undefined>;
  /** Gives up what was not read. Again: nothing. Never rejects. */
  close(): Promise<void>;
}

/** The name of the cursor that is read. */
export const CURSOR = 'rowcast_snapshot';

type Texts = readonly (string | null)[];

/** Of the first fetch, which is a chunk whatever its size: nothing is known of the rows yet, and its reader waits. */
const FIRST_ROWS = 32;
/** However small rows were, the next ones may be large. */
const MOST_ROWS = 256;
const RAW_TEXT: pg.CustomTypesConfig = { getTypeParser: () => (text: string) => text };

export class SnapshotCursor implements OpenSnapshot {
  readonly contains: TransactionSnapshot;
  readonly #session: SnapshotSession;
  readonly #rows: SnapshotRows;
  readonly #chunkBytes: number;
  #fetchCount = FIRST_ROWS;
  #isFirst = true;
  #isAtEnd = false;
  #isClosed = false;

  constructor(session: SnapshotSession, contains: TransactionSnapshot, rows: SnapshotRowsOptions) {
    this.contains = contains;
    this.#session = session;
    this.#rows = new SnapshotRows(rows);
    this.#chunkBytes = rows.chunkBytes;
  }

  /** Fetches the first rows, so that a policy that fails does so before anything is sent. */
  start(): Promise<void> {
    return this.#fetch();
  }

  async next(): Promise<SnapshotChunk | undefined> {
    for (;;) {
      const chunk = this.#isClosed ? undefined : this.#rows.take();
      if (chunk !== undefined || this.#isAtEnd) return chunk;
      await this.#fetch();
    }
  }

  close(): Promise<void> {
    this.#isClosed = true;
    this.#isAtEnd = true;
    return this.#session.end();
  }

  async #fetch(): Promise<void> {
    const wanted = this.#fetchCount;
    const { count, bytes } = await this.#session.run((client) => this.#read(client, wanted));
    this.#isAtEnd = count < wanted;
    if (this.#isAtEnd || this.#isFirst) this.#rows.flush();
    this.#isFirst = false;
    if (this.#isAtEnd) return this.#session.end();
    const fitting = Math.floor(this.#chunkBytes / (bytes / count + 1));
    this.#fetchCount = Math.max(1, Math.min(fitting, MOST_ROWS));
  }

  /** Takes rows as they arrive: those of one fetch are never here all at once as PostgreSQL sent them. */
  #read(client: PoolClient, wanted: number): Promise<{ readonly count: number; readonly bytes: number }> {
    const config = { text: `fetch forward ${wanted} from ${CURSOR}`, rowMode: 'array', types: RAW_TEXT } as const;
    const { promise, resolve, reject } = Promise.withResolvers<{ count: number; bytes: number }>();
    const read = { count: 0, bytes: 0 };
    const query = client.query(new pg.Query<Texts>(config));
    query.on('row', (row) => {
      read.count++;
      try {
        read.bytes += this.#take(row as unknown as Texts);
      } catch (error) {
        reject(error);
      }
    });
    query.on('error', reject);
    query.on('end', () => resolve(read));
    return promise;
  }

  #take([isCut, ...texts]: Texts): number {
    this.#rows.add(texts, isCut === 't');
    return texts.reduce((bytes, text) => bytes + (text?.length ?? 0), 0);
  }
}
