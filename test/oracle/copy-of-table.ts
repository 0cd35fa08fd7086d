// Owns the copy of a table that a subscriber keeps by applying events as they come, rows by the text of their key.

import type { ChangeFrame } from '../app/test-client.ts';
import { keyOf, type OracleTable } from './oracle-table.ts';

export type CopiedRow = Readonly<Record<string, unknown>>;

export class CopyOfTable {
  readonly rows = new Map<string, CopiedRow>();
  /** Rows may be missing since it was empty, and its keeper was told. */
  isIncomplete = false;
  readonly #key: readonly string[];

  constructor(table: OracleTable) {
    this.#key = keyOf(table);
  }

  apply({ event, payload }: ChangeFrame): void {
    if (event === 'TRUNCATE') this.rows.clear();
    if (payload.old !== null) this.rows.delete(this.#keyText(payload.old));
    if (payload.new !== null) this.rows.set(this.#keyText(payload.new), payload.new);
  }

  clear(): void {
    this.rows.clear();
    this.isIncomplete = false;
  }

  #keyText(row: CopiedRow): string {
    return JSON.stringify(this.#key.map((name) => String(row[name])));
  }
}
