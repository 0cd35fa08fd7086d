// Owns the exact texts of a row's images, as the stream gave them: what policies and filters are asked about.
// Images with the same columns form one set. A large value that was not resent stands in the old image under
// REPLICA IDENTITY FULL, and is missing otherwise.

import type { Relation } from '../replication/relation.ts';
import type { RowEntry } from '../replication/wal-entry.ts';
import { TupleView } from './tuple-view.ts';

/** Which image of a row. */
export type Side = 'new' | 'old';

type Image = { readonly entry: RowEntry; readonly side: Side };

/** Images of one table version that have the same columns, in the order in which they were added. */
export class RowImageSet {
  readonly presence: string;
  /** The columns by place; null where these images have none. */
  readonly places: readonly (string | null)[];
  readonly #images: Image[] = [];
  readonly #view = new TupleView();
  readonly #old = new TupleView();

  constructor(presence: string, places: readonly (string | null)[]) {
    this.presence = presence;
    this.places = places;
  }

  get size(): number {
    return this.#images.length;
  }

  /** Returns the index of the image in the set. */
  add(entry: RowEntry, side: Side): number {
    return this.#images.push({ entry, side }) - 1;
  }

  /** The array literal of each image: texts of the columns `needed`, NULL for the others. */
  literals(needed: ReadonlySet<string>): string[] {
    const isNeeded = this.places.map((name) => name !== null && needed.has(name));
    return this.#images.map((image) => this.#literal(image, isNeeded));
  }

  #literal({ entry, side }: Image, isNeeded: readonly boolean[]): string {
    const view = this.#view.read(side === 'new' ? entry.newTuple : entry.oldTuple);
    const old = view.hasUnchanged ? this.#old.read(entry.oldTuple) : view;
    let literal = '{';
    for (let index = 0; index < view.count; index++) {
      if (index > 0) literal += ',';
      const source = view.isUnchanged(index) ? old : view;
      literal += isNeeded[index] === true && !source.isNull(index) ? quoted(source, index) : 'NULL';
    }
    return `${literal}}`;
  }
}

/** The sets of one table version, made as images are added. */
export class RowImages {
  readonly #relation: Relation;
  readonly #sets = new Map<string, RowImageSet>();
  readonly #view = new TupleView();

  constructor(relation: Relation) {
    this.#relation = relation;
  }

  get sets(): RowImageSet[] {
    return [...this.#sets.values()];
  }

  /** Adds an image; undefined where the stream has none. */
  add(entry: RowEntry, side: Side): { readonly set: RowImageSet; readonly index: number } | undefined {
    const tuple = side === 'new' ? entry.newTuple : entry.oldTuple;
    if (tuple === null) return undefined;
    const isKeyOnly = side === 'old' && this.#relation.identity !== 'full';
    const missing = isKeyOnly ? KEY_ONLY : this.#missing(entry);
    let set = this.#sets.get(missing);
    if (set === undefined) {
      set = new RowImageSet(missing, this.#places(missing));
      this.#sets.set(missing, set);
    }
    return { set, index: set.add(entry, side) };
  }

  /** The indexes of columns that the new image lacks, as text. */
  #missing({ newTuple }: RowEntry): string {
    if (this.#relation.identity === 'full' || newTuple === null || !this.#view.read(newTuple).hasUnchanged) return '';
    return this.#relation.columns.flatMap((_, index) => (this.#view.isUnchanged(index) ? [index] : [])).join();
  }

  #places(missing: string): (string | null)[] {
    const { columns } = this.#relation;
    if (missing === KEY_ONLY) return columns.map(({ name, isKey }) => (isKey ? name : null));
    const absent = new Set(missing === '' ? [] : missing.split(',').map(Number));
    return columns.map(({ name }, index) => (absent.has(index) ? null : name));
  }
}

const KEY_ONLY = 'key';
const SPECIAL = /["\\]/;
const SPECIALS = /["\\]/g;

function quoted(view: TupleView, index: number): string {
  const { buffer, byteOffset } = view.bytes;
  const start = view.start(index);
  const text = Buffer.from(buffer, byteOffset + start, view.end(index) - start).toString('utf8');
  return `"${SPECIAL.test(text) ? text.replace(SPECIALS, '\\$&') : text}"`;
}
