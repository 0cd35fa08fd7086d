// Owns the reading of history by whoever asks: admins see messages and row changes in one order; others see what the SELECT
// policies on realtime.messages show them, and never a row of a table. A page is read in stretches, the next one when
// the last has left: so a large page is never in memory whole, and no connection waits for a slow reader.

import type { ClientBase, Pool } from 'pg';
import type { Identity } from '../auth/identity.ts';
import { claimsTransaction } from '../db/claims-transaction.ts';
import { classifyDatabaseError, mayPass } from '../db/sqlstate.ts';
import type { Logger } from '../lib/logger.ts';
import { changeIds } from './change-ids.ts';
import { readChannels } from './history-channels.ts';
import { type HistoryRow, historyJson } from './history-message.ts';
import type { HistoryQuery } from './history-query.ts';
import { type HistoryScope, readScope } from './history-scope.ts';
import { type HistoryStatement, historyStatement, type Stretch } from './history-statement.ts';

export type HistoryReaderOptions = {
  /** Of the server's own login. */
  readonly pool: Pool;
  /** Of the login that policies run on. */
  readonly policyPool: Pool;
  /** ROWCAST_ROLES. */
  readonly roles: readonly string[];
  readonly log: Logger;
};

export type HistoryAnswer =
  /** JSON arrays, whole or in parts. */
  | { readonly kind: 'json'; readonly json: string }
  | { readonly kind: 'parts'; readonly parts: AsyncIterable<string> }
  /** The role may not read messages, or a policy raised. */
  | { readonly kind: 'forbidden'; readonly message: string };

type Page = { readonly query: HistoryQuery; readonly scope: HistoryScope; readonly identity: Identity };

/** The first stretch; what follows has as many rows as fit into the bytes, going by those before. */
const FIRST_ROWS = 100;
const STRETCH_BYTES = 4 * 1024 * 1024;
const FEWEST_ROWS = 10;

export class HistoryReader {
  readonly #options: HistoryReaderOptions;

  constructor(options: HistoryReaderOptions) {
    this.#options = options;
  }

  /** A page in the order of positions. Rejects when the database cannot be asked. */
  async read(query: HistoryQuery, identity: Identity): Promise<HistoryAnswer> {
    const scope = await readScope(this.#options.pool, query);
    if (scope === null) return EMPTY;
    const page: Page = { query, scope, identity };
    const first: Stretch = {
      order: query.order,
      behind: undefined,
      limit: Math.min(query.limit, FIRST_ROWS),
      offset: query.offset,
    };
    try {
      const rows = await this.#rows(page, first);
      const json = await this.#print(rows, scope);
      if (rows.length === query.limit || rows.length < first.limit) return { kind: 'json', json: `[${json}]` };
      return { kind: 'parts', parts: this.#parts(page, rows, json) };
    } catch (error) {
      if (!(error instanceof ForbiddenError)) throw error;
      return { kind: 'forbidden', message: error.message };
    }
  }

  async *#parts(page: Page, first: readonly HistoryRow[], json: string): AsyncGenerator<string> {
    yield `[${json}`;
    let left = page.query.limit - first.length;
    let last = first;
    while (left > 0) {
      const behind = last.at(-1)?.position;
      const limit = Math.min(left, rowsFor(last));
      const rows = await this.#rows(page, { order: page.query.order, behind, limit, offset: 0 });
      if (rows.length > 0) yield `,${await this.#print(rows, page.scope)}`;
      left = rows.length < limit ? 0 : left - rows.length;
      last = rows;
    }
    yield ']';
  }

  async #rows({ query, scope, identity }: Page, stretch: Stretch): Promise<readonly HistoryRow[]> {
    const { isAdmin } = identity;
    const statement = historyStatement(isAdmin ? ['messages', 'changes'] : ['messages'], query, scope, stretch);
    if (statement === undefined) return [];
    if (!isAdmin) return this.#rowsOf(identity, query, statement);
    return run(this.#options.pool, statement);
  }

  async #rowsOf(
    { role, claims }: Identity,
    { channel }: HistoryQuery,
    statement: HistoryStatement,
  ): Promise<readonly HistoryRow[]> {
    const { policyPool, roles, log } = this.#options;
    const as = { pool: policyPool, role, claims, allowedRoles: roles, readOnly: true, channelName: channel };
    try {
      const read = await claimsTransaction(as, (client) => run(client, statement));
      if (read.ok) return read.value;
    } catch (error) {
      const { kind, sqlstate, message } = classifyDatabaseError(error);
      if (sqlstate === undefined || mayPass(kind)) throw error;
      // Closed by default: a policy that raises denies. Nothing of it is told, for it may speak of hidden rows.
      log.warn({ role, sqlstate, reason: message }, 'history was denied, a policy or a right failed');
    }
    throw new ForbiddenError();
  }

  async #print(rows: readonly HistoryRow[], { systemIdentifier }: HistoryScope): Promise<string> {
    const channelIdOf = await readChannels(this.#options.pool, rows);
    const idOf = changeIds(systemIdentifier ?? '');
    return rows.map((row) => historyJson(row, channelIdOf(row), idOf)).join(',');
  }
}

const EMPTY: HistoryAnswer = { kind: 'json', json: '[]' };

class ForbiddenError extends Error {
  override readonly name = 'ForbiddenError';
  constructor() {
    super('The policies of realtime.messages do not let this role read history');
  }
}

async function run(client: Pool | ClientBase, { text, values }: HistoryStatement): Promise<readonly HistoryRow[]> {
  return (await client.query<HistoryRow>(text, [...values])).rows;
}

function rowsFor(last: readonly HistoryRow[]): number {
  const length = last.reduce((sum, { payload }) => sum + payload.length, 0) + last.length * ROW_OVERHEAD;
  return Math.max(FEWEST_ROWS, Math.floor((STRETCH_BYTES * last.length) / length));
}

/** Of the JSON around a payload. */
const ROW_OVERHEAD = 400;
