// Owns the versions of a table that history knows: for each replica identity and set of columns that its rows have
// among those of today, one Relation as the stream would have announced it, and its encoder. One object for each,
// because statements are kept by it.

import { holdsComposite, type ValueType } from '../protocol/value-type.ts';
import type { Relation } from '../replication/relation.ts';
import { RowEncoder } from './row-encoder.ts';
import type { TypeResolver } from './type-resolver.ts';

/** A table as the catalogue has it today. */
export type StoredTable = {
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** In the order of the table. */
  readonly columns: readonly { readonly name: string; readonly typeOid: number }[];
  /** The columns of the primary key; none where there is none. */
  readonly key: readonly string[];
  /**
   * The columns of the replica identity, where that is an index: an INSERT does not tell what its identity was. The
   * primary key where it is not given.
   */
  readonly identity?: readonly string[] | undefined;
};

/** What a row tells of the table as it was. */
export type StoredShape = {
  readonly isFull: boolean;
  /** Names of the columns that tell rows apart. */
  readonly key: readonly string[];
  /** For each column of the table, whether the row has it. */
  readonly has: readonly boolean[];
};

export type StoredVersion = { readonly relation: Relation; readonly encoder: RowEncoder };

/** Rows whose values no longer fit may each have other columns: past this many the versions are made anew. */
const MAX_KEPT = 500;

export class StoredVersions {
  readonly #table: StoredTable;
  readonly #relations = new Map<string, Relation>();
  readonly #encoders = new Map<Relation, RowEncoder>();
  /** How the columns are written, in their order. */
  types: readonly ValueType[] = [];
  #isLasting = false;

  constructor(table: StoredTable) {
    this.#table = table;
  }

  /** Reads the types anew where they may have changed without a word: composites. */
  async refresh(resolver: TypeResolver): Promise<void> {
    if (this.#isLasting) return;
    this.types = await resolver.resolve(this.#table.columns.map(({ typeOid }) => typeOid));
    this.#isLasting = !this.types.some(holdsComposite);
    this.#encoders.clear();
  }

  /** The version that a row of this shape belongs to. */
  of(shape: StoredShape): StoredVersion {
    const relation = this.#relation(shape);
    let encoder = this.#encoders.get(relation);
    if (encoder === undefined) {
      const types = this.types.filter((_, index) => shape.has[index]);
      encoder = new RowEncoder(relation, types, shape.isFull ? shape.key : undefined);
      this.#encoders.set(relation, encoder);
    }
    return { relation, encoder };
  }

  #relation(shape: StoredShape): Relation {
    const id = idOf(shape);
    let relation = this.#relations.get(id);
    if (relation === undefined) {
      if (this.#relations.size >= MAX_KEPT) this.#forget();
      relation = relationOf(this.#table, shape);
      this.#relations.set(id, relation);
    }
    return relation;
  }

  #forget(): void {
    this.#relations.clear();
    this.#encoders.clear();
  }
}

function idOf({ isFull, key, has }: StoredShape): string {
  const missing = has.flatMap((isThere, index) => (isThere ? [] : [index]));
  return `${isFull} ${missing.join()} ${JSON.stringify(key)}`;
}

function relationOf({ oid, schema, name, columns }: StoredTable, { isFull, key, has }: StoredShape): Relation {
  return {
    oid,
    schema,
    name,
    identity: isFull ? 'full' : 'key',
    columns: columns
      .filter((_, index) => has[index])
      // Under FULL every column is part of the identity, as pgoutput says it too.
      .map(({ name: column, typeOid }) => ({ name: column, typeOid, isKey: isFull || key.includes(column) })),
  };
}
