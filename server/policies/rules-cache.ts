// Owns the rules that judging goes by: kept by table until a call says that their fingerprint no longer
// holds, and the statements built from them, kept by version of the table.

import { classifyDatabaseError } from '../db/sqlstate.ts';
import type { JudgedTable } from './row-verdict.ts';
import { TableConditions } from './table-conditions.ts';
import type { TableRules } from './table-rules.ts';
import { GONE, type TableRulesStore } from './table-rules-store.ts';

/** `gone`: there is no such table. `locked`: somebody keeps what its policies read from being looked at. */
export type KnownConditions = TableConditions | 'gone' | 'locked';

export type KnownRules = {
  /** The tables whose rules are known, or known to be gone. */
  readonly relids: readonly number[];
  /** Of `relids`, in their order. */
  readonly fingerprints: readonly string[];
  /** Of the tables asked for, in their order. */
  readonly conditions: readonly KnownConditions[];
};

/** Rules read within this time are not read again for what they fail with; locked ones are not tried again. */
const FRESH_MS = 1_000;

export class RulesCache {
  readonly #store: Pick<TableRulesStore, 'read'>;
  readonly #now: () => number;
  readonly #rules = new Map<number, TableRules | undefined>();
  readonly #readAt = new Map<number, number>();
  readonly #lockedUntil = new Map<number, number>();
  readonly #conditions = new WeakMap<object, TableConditions>();

  /** `now` gives milliseconds of a monotonic clock. */
  constructor(store: Pick<TableRulesStore, 'read'>, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** What is known of `tables`; reads what is not. Rejects when the database cannot be asked. */
  async of(tables: readonly Pick<JudgedTable, 'oid' | 'version'>[]): Promise<KnownRules> {
    const oids = [...new Set(tables.map(({ oid }) => oid))];
    const missing = oids.filter((oid) => !this.#rules.has(oid) && !this.#isLocked(oid));
    if (missing.length > 0) await this.#read(missing);
    const relids = oids.filter((oid) => this.#rules.has(oid));
    return {
      relids,
      fingerprints: relids.map((oid) => this.#rules.get(oid)?.fingerprint ?? GONE),
      conditions: tables.map((table) => this.#conditionsOf(table)),
    };
  }

  // Reading waits for locks: one table that is locked must not keep the others from being read.
  async #read(oids: readonly number[]): Promise<void> {
    try {
      const read = await this.#store.read(oids);
      for (const oid of oids) this.#keep(oid, read.get(oid));
    } catch (error) {
      if (classifyDatabaseError(error).kind !== 'lock_timeout') throw error;
      if (oids.length === 1) this.#lockedUntil.set(oids[0] as number, this.#now() + FRESH_MS);
      else for (const oid of oids) await this.#read([oid]);
    }
  }

  #keep(oid: number, rules: TableRules | undefined): void {
    this.#rules.set(oid, rules);
    this.#readAt.set(oid, this.#now());
    this.#lockedUntil.delete(oid);
  }

  #isLocked(oid: number): boolean {
    return this.#now() < (this.#lockedUntil.get(oid) ?? 0);
  }

  forget(relids: readonly number[]): void {
    for (const oid of relids) this.#rules.delete(oid);
  }

  /** Whether the rules of a table are so old that a name in them may be nobody's by now. */
  isAged(oid: number): boolean {
    return this.#now() - (this.#readAt.get(oid) ?? 0) > FRESH_MS;
  }

  #conditionsOf({ oid, version }: Pick<JudgedTable, 'oid' | 'version'>): KnownConditions {
    if (!this.#rules.has(oid)) return 'locked';
    const rules = this.#rules.get(oid);
    if (rules === undefined) return 'gone';
    let conditions = this.#conditions.get(version);
    if (conditions?.rules !== rules) {
      conditions = new TableConditions(rules, version);
      this.#conditions.set(version, conditions);
    }
    return conditions;
  }
}
