// Owns the reading of a row from history: the exact texts of its columns, and what it tells of the table as it was when it
// was written: which columns there were, and whether its old image is the whole row or the key. That is not kept
// anywhere else, and follows from which columns `new` and `old` have.

import { memberTexts } from '../protocol/json-slices.ts';
import { mayLoseText, type ValueType } from '../protocol/value-type.ts';
import type { RowOperation } from '../replication/wal-entry.ts';
import type { StoredChange } from './stored-change.ts';
import type { StoredShape, StoredTable } from './stored-table.ts';
import { isTextOf, textOfJson } from './stored-text.ts';
import type { ColumnText } from './stored-tuple.ts';

export type StoredRow = {
  readonly shape: StoredShape;
  /** The columns of the tuples that the stream sent, those of `shape`; null where it sent none. */
  readonly fresh: readonly ColumnText[] | null;
  readonly old: readonly ColumnText[] | null;
  /** Was too large for a message. */
  readonly isCut: boolean;
};

/** One image: JSON by column as in the payload, and texts by column where JSON does not give them back. */
type Side = { readonly values: ReadonlyMap<string, string>; readonly texts: ReadonlyMap<string, string | null> | null };

/** A row as it was found. */
type Found = {
  readonly table: StoredTable;
  readonly types: readonly ValueType[];
  readonly op: RowOperation;
  readonly fresh: Side | null;
  readonly old: Side | null;
  /** Names of large columns that were not sent again; null where the payload does not say. */
  readonly unchanged: readonly string[] | null;
  readonly isCut: boolean;
};

/** What jsonb could not hold is kept as text; a payload has no such field of its own, and jsonb prints shorter names first. */
const KEPT_AS_TEXT = '{"text": ';
/** Stands for a text that today's type cannot have printed. */
const MISFIT = Symbol('misfit');
type FoundText = ColumnText | typeof MISFIT;

/** Reads a row of `table`; `types` are those of its columns. */
export function readStoredRow(
  table: StoredTable,
  types: readonly ValueType[],
  change: StoredChange & { readonly op: RowOperation },
): StoredRow {
  const row = foundRow(table, types, change);
  const isFull = isOldWhole(row);
  const key = keyOf(row, isFull);
  const fresh = row.fresh === null ? null : textsOf(row, withoutUnsent(row, row.fresh));
  const old = row.old === null || (!isFull && isKeyKept(row, row.old)) ? null : textsOf(row, row.old);
  const has = columnsOf(row, isFull, fresh, old);
  const pick = <T>(items: readonly T[]): T[] => items.filter((_, index) => has[index]);
  const tuples = { fresh: fresh && (pick(fresh) as ColumnText[]), old: old && (pick(old) as ColumnText[]) };
  const shape = { isFull, key, has };
  if (isFull) return { shape, ...tuples, isCut: row.isCut };
  return { shape, fresh: tuples.fresh, old: keyTuple(tuples, pick(table.columns), key), isCut: row.isCut };
}

function foundRow(
  table: StoredTable,
  types: readonly ValueType[],
  { op, payload, newImage, oldImage }: StoredChange & { readonly op: RowOperation },
): Found {
  const members = memberTexts(payloadOf(payload));
  const unchanged = members.get('unchanged');
  return {
    table,
    types,
    op,
    fresh: sideOf(members.get('new'), newImage),
    old: sideOf(members.get('old'), oldImage),
    unchanged: unchanged === undefined ? null : (JSON.parse(unchanged) as string[]),
    isCut: members.has('truncated'),
  };
}

function payloadOf(payload: string): string {
  return payload.startsWith(KEPT_AS_TEXT) ? (JSON.parse(payload) as { text: string }).text : payload;
}

function sideOf(json: string | undefined, image: string | null): Side | null {
  if (json === undefined || json === 'null') return null;
  const texts = image === null ? null : new Map(Object.entries(JSON.parse(image) as Record<string, string | null>));
  return { values: memberTexts(json), texts };
}

/** Whether `old` is the whole row: a key has fewer columns, and beside whole rows nothing is `unchanged`. */
function isOldWhole({ table: { key, identity = key }, op, fresh, old, unchanged, isCut }: Found): boolean {
  if (old === null) return false;
  if (isCut) return (old.texts?.size ?? 0) > old.values.size;
  const isOld = (names: readonly string[]): boolean =>
    names.length === old.values.size && names.every((name) => old.values.has(name));
  if (isOld(key) || isOld(identity)) return false;
  return op === 'DELETE' || (unchanged === null && old.values.size === fresh?.values.size);
}

/** What was cut was cut to the key, and an old image that is not whole is the key. */
function keyOf({ table: { key, identity = key }, fresh, old, isCut }: Found, isFull: boolean): readonly string[] {
  if (isFull && !isCut) return key;
  const named = old ?? (isCut ? fresh : null);
  return named === null ? identity : [...named.values.keys()];
}

/** Whether an old key is known to be that of the new row, because its texts would have been kept otherwise. */
function isKeyKept({ table, types, op, isCut }: Found, { values, texts }: Side): boolean {
  if (op !== 'UPDATE' || texts !== null) return false;
  return isCut || table.columns.some(({ name }, index) => values.has(name) && losesText(types[index] as ValueType));
}

/**
 * A large value that was not sent again stands in the whole old row beside it: then its text was kept there alone. One
 * that was sent would have its own, of all types that lose theirs in JSON.
 */
function withoutUnsent({ table, types, old }: Found, { values, texts }: Side): Side {
  const isSent = (name: string): boolean => {
    if (texts?.has(name) === true || old?.texts?.has(name) !== true) return true;
    const type = types[table.columns.findIndex((column) => column.name === name)];
    return type === undefined || !losesText(type) || values.get(name) !== old.values.get(name);
  };
  if (old?.texts == null) return { values, texts };
  return { values: new Map([...values].filter(([name]) => isSent(name))), texts };
}

function losesText(type: ValueType): boolean {
  return type.kind !== 'float' && mayLoseText(type);
}

function textsOf({ table, types }: Found, side: Side): FoundText[] {
  return table.columns.map(({ name }, index) => textOf(side, name, types[index] as ValueType));
}

function textOf({ values, texts }: Side, name: string, type: ValueType): FoundText {
  const kept = texts?.get(name);
  if (kept !== undefined) return kept === null || isTextOf(kept, type) ? kept : MISFIT;
  const json = values.get(name);
  if (json === undefined) return undefined;
  return json === 'null' ? null : (textOfJson(json, type) ?? MISFIT);
}

/** For each column of the table, whether the row has it. */
function columnsOf(
  { table, op, unchanged, isCut }: Found,
  isFull: boolean,
  fresh: readonly FoundText[] | null,
  old: readonly FoundText[] | null,
): boolean[] {
  // Of a row that was cut it is not kept which columns were not there, and which were not sent again.
  const isUnchanged = (name: string): boolean => (isCut ? op === 'UPDATE' : unchanged?.includes(name) === true);
  return table.columns.map(({ name }, index) => {
    if (fresh?.[index] === MISFIT || old?.[index] === MISFIT) return false;
    if (isFull) return old?.[index] !== undefined;
    return fresh === null || fresh[index] !== undefined || isUnchanged(name);
  });
}

/** The key as the stream sends it: beside nulls, and of an UPDATE only where it has changed. */
function keyTuple(
  { fresh, old }: Pick<StoredRow, 'fresh' | 'old'>,
  columns: StoredTable['columns'],
  key: readonly string[],
): ColumnText[] | null {
  if (old === null) return null;
  const isKey = columns.map(({ name }) => key.includes(name));
  const isChanged = fresh === null || old.some((text, index) => isKey[index] && text !== fresh[index]);
  return isChanged ? old.map((text, index) => (isKey[index] ? (text ?? null) : null)) : null;
}
