// Owns what a subscription may narrow a table's rows to: `where`, and the columns it wants. Made once at
// subscribe, shared by key.

import type { Where } from '../protocol/where.ts';

export type TableFilter = {
  /** Equal for filters that always give the same rows and columns. */
  readonly key: string;
  /** Equal for filters with the same `where`; null without one. */
  readonly whereKey: string | null;
  readonly where: Where | null;
  /** Columns wanted beside the key; null for all. */
  readonly columns: ReadonlySet<string> | null;
};

/** Makes the filter; null where it narrows nothing. */
export function makeTableFilter(where: Where | null, columns: readonly string[] | null): TableFilter | null {
  if (where === null && columns === null) return null;
  const whereKey = where === null ? null : JSON.stringify(where);
  const wanted = columns === null ? null : new Set(columns);
  const key = JSON.stringify([whereKey, wanted === null ? null : [...wanted].sort()]);
  return { key, whereKey, where, columns: wanted };
}
