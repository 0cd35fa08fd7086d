// Owns the reading of reports about watched tables: what the channels room knows of them, and their rules.

import type { TableRules } from './table-rules.ts';
import { type WatchedFacts, type WatchedTableReport, watchedTableReport } from './watched-table-report.ts';

export type WatchedTableReportsOptions = {
  /** All watched tables, or the one of that canonical spelling. */
  readonly watching: { tables(relation?: string): Promise<readonly WatchedFacts[]> };
  readonly rules: { read(oids: readonly number[]): Promise<ReadonlyMap<number, TableRules>> };
  /** The allow-list (ROWCAST_ROLES). */
  readonly roles: readonly string[];
};

export class WatchedTableReports {
  readonly #options: WatchedTableReportsOptions;

  constructor(options: WatchedTableReportsOptions) {
    this.#options = options;
  }

  /** Of all, or of one; empty where that is not watched. Rejects when the database cannot be asked. */
  async read(relation?: string): Promise<readonly WatchedTableReport[]> {
    const { watching, rules, roles } = this.#options;
    const tables = await watching.tables(relation);
    const known = await rules.read(tables.flatMap(({ oid }) => oid ?? []));
    return tables.map((facts) => watchedTableReport(facts, known.get(facts.oid ?? 0), roles));
  }
}
