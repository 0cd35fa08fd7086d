// Owns the reading of table rules from the catalogue, as the server's own login: who may read what is public
// in the catalogue, and it is decided elsewhere.

import type { Pool } from 'pg';
import type { ColumnRule, PolicyRule, RoleRules, TableRules } from './table-rules.ts';

type RoleJson = {
  mayUse: boolean;
  isTakeable: boolean;
  seesAllColumns: boolean;
  columns: readonly string[];
  isBound: boolean;
  policies: readonly string[];
};
type RulesJson = {
  schema: string;
  name: string;
  columns: readonly ColumnRule[];
  policies: readonly PolicyRule[];
  roles: Readonly<Record<string, RoleJson>> | null;
};
type Row = { relid: number; fingerprint: string; rules: string | null };

/** The fingerprint of a table that is gone, as the database gives it. */
export const GONE = 'gone';

export class TableRulesStore {
  readonly #pool: Pool;
  readonly #roles: readonly string[];

  /** `roles` is the allow-list (ROWCAST_ROLES). */
  constructor(pool: Pool, roles: readonly string[]) {
    this.#pool = pool;
    this.#roles = roles;
  }

  /** The rules of each table that exists, by oid, read in one snapshot. Rejects when the database cannot be asked. */
  async read(oids: readonly number[]): Promise<ReadonlyMap<number, TableRules>> {
    const { rows } = await this.#pool.query<Row>(
      'select relid, fingerprint, rules::text as rules from realtime.table_rules($1::oid[], $2::text[])',
      [oids, this.#roles],
    );
    const known = new Map<number, TableRules>();
    for (const { relid, fingerprint, rules } of rows) {
      if (rules !== null) known.set(relid, tableRules(relid, fingerprint, JSON.parse(rules) as RulesJson));
    }
    return known;
  }
}

function tableRules(oid: number, fingerprint: string, json: RulesJson): TableRules {
  const policies = new Map(json.policies.map((policy) => [policy.name, policy]));
  const roles = Object.entries(json.roles ?? {});
  return {
    oid,
    schema: json.schema,
    name: json.name,
    columns: new Map(json.columns.map((column) => [column.name, column])),
    roles: new Map(roles.map(([name, role]) => [name, roleRules(role, policies)])),
    fingerprint,
  };
}

function roleRules(role: RoleJson, policies: ReadonlyMap<string, PolicyRule>): RoleRules {
  return {
    columns: columnsOf(role),
    isTakeable: role.isTakeable,
    isBound: role.isBound,
    policies: role.policies.flatMap((name) => policies.get(name) ?? []),
  };
}

function columnsOf({ mayUse, seesAllColumns, columns }: RoleJson): ReadonlySet<string> | null {
  if (!mayUse) return new Set();
  return seesAllColumns ? null : new Set(columns);
}
