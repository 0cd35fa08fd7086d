// Owns the shape of what the catalogue says about reading one table: its columns, and for each role of the
// allow-list its grants and the policies that bind it. Read at once, in one snapshot; `fingerprint` tells
// whether it still holds.

export type ColumnRule = {
  readonly name: string;
  readonly typeOid: number;
  /** Qualified SQL type with its modifier: what an exact text is cast to. */
  readonly type: string;
  /** Qualified base type without modifier: what a literal that is compared with the column is cast to. */
  readonly literalType: string;
  /** pg_type.typcategory of the base type: `S` strings, `A` arrays, `B` booleans … */
  readonly category: string;
  /** The base type is json, which has no equality, or another type without a default btree order. */
  readonly isOrdered: boolean;
  /** Qualified and quoted, where it is not the one that a cast text has anyway; null otherwise. */
  readonly collation: string | null;
  /** Part of the primary key. */
  readonly isPrimaryKey: boolean;
  /** Part of what an old row is named by: of the index of the replica identity, else of the primary key. */
  readonly isIdentity: boolean;
  /** The expression of a generated column, and what it reads; null for others. */
  readonly generated: { readonly expression: string; readonly columns: readonly string[] } | null;
};

export type PolicyRule = {
  readonly name: string;
  readonly isPermissive: boolean;
  /** The expression, deparsed with every name qualified. */
  readonly using: string;
  /** Columns of the table that it reads. */
  readonly columns: readonly string[];
  /** It reads the row as a whole: only a complete image can be judged. */
  readonly readsWholeRow: boolean;
};

export type RoleRules = {
  /** Columns that the role may SELECT; null for all. */
  readonly columns: ReadonlySet<string> | null;
  /** Whether the policy login takes the role on; superusers and BYPASSRLS roles never. */
  readonly isTakeable: boolean;
  /** Whether row security binds the role: not its owner without FORCE, not BYPASSRLS. */
  readonly isBound: boolean;
  /** The SELECT policies that apply to the role. */
  readonly policies: readonly PolicyRule[];
};

export type TableRules = {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** By name, in the order of the table. */
  readonly columns: ReadonlyMap<string, ColumnRule>;
  /** By role, for every role of the allow-list that exists. */
  readonly roles: ReadonlyMap<string, RoleRules>;
  readonly fingerprint: string;
};

/** Whether the role may read any column at all. */
export function mayRead(rules: RoleRules | undefined): rules is RoleRules {
  return rules !== undefined && (rules.columns === null || rules.columns.size > 0);
}
