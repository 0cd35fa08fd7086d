// Owns the rules that judging goes by: kept by table until a call says that their fingerprint no longer
// holds, and the statements built from them, kept by version of the table.

import type { JudgedTable } from './row-verdict.ts';
import { TableConditions } from './table-conditions.ts';
import type { TableRules } from './table-rules.ts';
import { GONE, type TableRulesStore } from './table-rules-store.ts';

export type KnownRules = {
  readonly relids: readonly number[];
  /** Of `relids`, in their order. */
  readonly fingerprints: readonly string[];
  /** Of the tables asked for, in their order; undefined where one is gone. */
  readonly conditions: readonly (TableConditions | undefined)[];
};

/** Rules read within this time are not read again for what they fail with. */
const FRESH_MS = 1_000;

export class RulesCache {
  readonly #store: Pick<TableRulesStore, 'read'>;
  readonly #now: () => number;
  readonly #rules = new Map<number, TableRules | undefined>();
  readonly #readAt = new Map<number, number>();
  readonly #conditions = new WeakMap<object, TableConditions>();

  /** `now` gives milliseconds of a monotonic clock. */
  constructor(store: Pick<TableRulesStore, 'read'>, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** What is known of `tables`; reads what is not. Rejects when the database cannot be asked. */
  async of(tables: readonly Pick<JudgedTable, 'oid' | 'version'>[]): Promise<KnownRules> {
    const relids = [...new Set(tables.map(({ oid }) => oid))];
    const missing = relids.filter((oid) => !this.#rules.has(oid));
    if (missing.length > 0) {
      const read = await this.#store.read(missing);
      for (const oid of missing) {
        this.#rules.set(oid, read.get(oid));
        this.#readAt.set(oid, this.#now());
      }
    }
    return {
      relids,
      fingerprints: relids.map((oid) => this.#rules.get(oid)?.fingerprint ?? GONE),
      conditions: tables.map((table) => this.#conditionsOf(table)),
    };
  }

  forget(relids: readonly number[]): void {
    for (const oid of relids) this.#rules.delete(oid);
  }

  /** Whether the rules of a table are so old that a name in them may be nobody's by now. */
  isAged(oid: number): boolean {
    return this.#now() - (this.#readAt.get(oid) ?? 0) > FRESH_MS;
  }

  #conditionsOf({ oid, version }: Pick<JudgedTable, 'oid' | 'version'>): TableConditions | undefined {
    const rules = this.#rules.get(oid);
    if (rules === undefined) return undefined;
    let conditions = this.#conditions.get(version);
    if (conditions?.rules !== rules) {
      conditions = new TableConditions(rules);
      this.#conditions.set(version, conditions);
    }
    return conditions;
  }
}
