// Owns the vocabulary of judging rows: who asks about which images, and what comes back. Images come from the
// stream by way of delivery; what they are asked is row-condition.ts.

import type { TableFilter } from './row-filter.ts';

/** Images of one table version that have the same columns. */
export interface ImageSet {
  /** Equal for sets of a table version with the same columns. */
  readonly presence: string;
  /** The columns by place; null where these images have none. */
  readonly places: readonly (string | null)[];
  readonly size: number;
  /** Some image has a value that is too large to be judged, and is missing for that. */
  readonly isCut: boolean;
  /** An array literal of texts for each image; texts that are not needed may be left out (NULL). */
  literals(needed: ReadonlySet<string>): readonly string[];
}

/** Somebody of whom the database must be asked. */
export type Viewer = {
  readonly key: string;
  /** Null for an admin, whose `where` alone is asked. */
  readonly role: string | null;
  /** Equal for viewers that every policy answers alike. */
  readonly classKey: string;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly filter: TableFilter | null;
};

/** A version of a table, as the stream describes it; one object for each. */
export interface TableVersion {
  readonly columns: readonly { readonly name: string; readonly typeOid: number }[];
}

export type JudgedTable = {
  readonly version: TableVersion;
  readonly oid: number;
  readonly sets: readonly ImageSet[];
  readonly viewers: readonly Viewer[];
};

export const NO = 0;
export const YES = 1;
/** The image lacks what would decide. */
export const UNKNOWN = 2;

/** For all images of a set, or one for each. */
export type SetVerdict = typeof NO | typeof YES | typeof UNKNOWN | Uint8Array;

export type ViewerVerdict = {
  /** Columns that may be sent; null for all. */
  readonly columns: ReadonlySet<string> | null;
  /** May be told that the table was truncated. */
  readonly seesTruncate: boolean;
  /** In the order of the table's sets. */
  readonly sets: readonly SetVerdict[];
  /** Something could not be judged: rows may be missing. */
  readonly isWithheld: boolean;
};

/** By the key of the viewer, for each table in the order asked. */
export type TableVerdicts = ReadonlyMap<string, ViewerVerdict>;

/** The verdict about image `index` of a set. */
export function verdictAt(verdict: SetVerdict, index: number): number {
  return typeof verdict === 'number' ? verdict : (verdict[index] as number);
}
