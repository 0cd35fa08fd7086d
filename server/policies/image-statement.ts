// Owns the SQL that asks a condition of row images (traps of Postgres, rule 13): each image is an array of
// exact texts, cast column by column to the table's types and collations, under the table's own name, so that
// a policy's text means what it means in a SELECT. Columns that an image lacks are not there at all.

import { quoteIdentifier } from '../db/quoting.ts';
import type { ColumnRule, TableRules } from './table-rules.ts';

export type ImageShape = Pick<TableRules, 'name' | 'columns'>;

/**
 * A statement with one parameter, an array of realtime.image, that gives the numbers (from 1) of the images for
 * which `condition` is true. `places[i]` names the column whose text is element i + 1 of an image; null where
 * that is not needed. `condition` is boolean SQL over the columns, and is trusted.
 */
export function imageStatement(
  rules: ImageShape,
  places: readonly (string | null)[],
  condition: string,
  computed: readonly ColumnRule[] = [],
): string {
  const free = freeNames(rules.columns);
  const row = withComputed(rules, castColumns(rules, places, free), new Set(places), computed);
  return (
    `select coalesce(pg_catalog.array_agg(${free.outer}.${free.number}) filter (where ${free.outer}.${free.answer}), '{}') ` +
    `from (select ${free.image}.${free.number}, (select coalesce((${condition}), false) from (${row}) as ` +
    `${quoteIdentifier(rules.name)}) as ${free.answer} from pg_catalog.unnest($1) with ordinality as ` +
    `${free.image} (${free.values}, ${free.number})) as ${free.outer}`
  );
}

type FreeNames = Record<'image' | 'values' | 'number' | 'answer' | 'outer', string>;

// An expression that names a column which the image lacks must fail, and never find a helper of ours instead.
function freeNames(columns: ReadonlyMap<string, unknown>): FreeNames {
  let prefix = '__rc';
  while ([...columns.keys()].some((name) => name.startsWith(prefix))) prefix += '_';
  return {
    image: `"${prefix}i"`,
    values: `"${prefix}v"`,
    number: `"${prefix}n"`,
    answer: `"${prefix}a"`,
    outer: `"${prefix}o"`,
  };
}

// In the order of the table, whatever that of the images is: who reads the whole row reads it by place.
function castColumns({ columns }: ImageShape, places: readonly (string | null)[], free: FreeNames): string {
  const texts = [...columns.values()].flatMap((column) => {
    const place = places.indexOf(column.name);
    if (place === -1) return [];
    const text = `${free.image}.${free.values}[${place + 1}]`;
    return [`${typed(column, text)} as ${quoteIdentifier(column.name)}`];
  });
  return `select ${texts.join(', ')}`;
}

function typed({ type, collation }: ColumnRule, value: string): string {
  const cast = `(${value})::${type}`;
  return collation === null ? cast : `(${cast}) collate ${collation}`;
}

// Generated columns that the stream does not carry follow from the others, one level further out. Whoever reads
// the whole row needs the columns in the order of the table.
function withComputed(
  { name, columns }: ImageShape,
  row: string,
  carried: ReadonlySet<string | null>,
  computed: readonly ColumnRule[],
): string {
  if (computed.length === 0) return row;
  const table = quoteIdentifier(name);
  const selected = [...columns.values()].flatMap((column) => {
    const quoted = quoteIdentifier(column.name);
    if (carried.has(column.name)) return [`${table}.${quoted}`];
    if (!computed.includes(column) || column.generated === null) return [];
    return [`${typed(column, column.generated.expression)} as ${quoted}`];
  });
  return `select ${selected.join(', ')} from (${row}) as ${table}`;
}
