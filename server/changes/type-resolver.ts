// Owns the answer to "how is this type written": built-in types at once, others from rows of the catalogue
// that an injected loader reads. A type that is gone (the WAL may be older than a DROP) is text. The catalogue
// is read as it is now: a row that is older than an ALTER TYPE of its composite has the attributes of today.

import { BUILT_IN_TYPES, TEXT, type ValueType } from '../protocol/value-type.ts';

/** What the catalogue says of one type; `fields` only for composites, in their order. */
export type TypeRow = {
  readonly oid: number;
  readonly kind: 'base' | 'composite' | 'domain' | 'enum' | 'array' | 'other';
  /** The element of an array, the base of a domain. */
  readonly of: number;
  readonly delimiter: string;
  readonly fields: readonly { readonly name: string; readonly typeOid: number }[];
};

/** Reads the given types and all that they are made of. */
export type LoadTypes = (oids: readonly number[]) => Promise<readonly TypeRow[]>;

export class TypeResolver {
  readonly #load: LoadTypes;

  constructor(load: LoadTypes) {
    this.#load = load;
  }

  /** The value types of `oids`, in their order. User-defined types are read each time: ALTER TYPE may have changed them. */
  async resolve(oids: readonly number[]): Promise<ValueType[]> {
    const unknown = [...new Set(oids.filter((oid) => !BUILT_IN_TYPES.has(oid)))];
    const rows = unknown.length === 0 ? [] : await this.#load(unknown);
    const byOid = new Map(rows.map((row) => [row.oid, row]));
    return oids.map((oid) => valueType(oid, byOid));
  }
}

function valueType(oid: number, rows: ReadonlyMap<number, TypeRow>): ValueType {
  const builtIn = BUILT_IN_TYPES.get(oid);
  if (builtIn !== undefined) return builtIn;
  const row = rows.get(oid);
  if (row === undefined) return TEXT;
  switch (row.kind) {
    case 'domain':
      return valueType(row.of, rows);
    case 'array':
      return { kind: 'array', element: valueType(row.of, rows), delimiter: row.delimiter.charCodeAt(0) };
    case 'composite':
      return {
        kind: 'composite',
        fields: row.fields.map(({ name, typeOid }) => ({ name, type: valueType(typeOid, rows) })),
      };
    default:
      return TEXT;
  }
}
