// Owns the exact texts of a row's images, as the stream gave them: what policies and filters are asked about.
// Images with the same columns form one set. A large value that was not resent stands in the old image under
// REPLICA IDENTITY FULL, and is missing otherwise. So is one that is too large to be judged at all.

import type { Relation } from '../replication/relation.ts';
import type { RowEntry, Tuple } from '../replication/wal-entry.ts';
import { TupleView } from './tuple-view.ts';

/** Which image of a row. */
export type Side = 'new' | 'old';

/** A longer text is left out: what is judged must fit into memory many times over. */
export const MAX_JUDGED_TEXT_BYTES = 1024 * 1024;

type Image = { readonly entry: RowEntry; readonly side: Side };

/** Images of one table version that have the same columns, in the order in which they were added. */
export class RowImageSet {
  readonly presence: string;
  /** The columns by place; null where these images have none. */
  readonly places: readonly (string | null)[];
  /** A value is missing because it is too large. */
  readonly isCut: boolean;
  readonly #images: Image[] = [];
  readonly #view = new TupleView();
  readonly #old = new TupleView();

  constructor(presence: string, places: readonly (string | null)[], isCut: boolean) {
    this.presence = presence;
    this.places = places;
    this.isCut = isCut;
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
  readonly #old = new TupleView();

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
    const missing = this.#missing(entry, side, tuple);
    const presence = `${missing.absent} ${missing.large}`;
    let set = this.#sets.get(presence);
    if (set === undefined) {
      set = new RowImageSet(presence, this.#places(missing), missing.large !== '');
      this.#sets.set(presence, set);
    }
    return { set, index: set.add(entry, side) };
  }

  #missing({ oldTuple }: RowEntry, side: Side, tuple: Tuple): Missing {
    const isFull = this.#relation.identity === 'full';
    const view = this.#view.read(tuple);
    const mayBeLarge = tuple.end - tuple.offset > MAX_JUDGED_TEXT_BYTES || (isFull && view.hasUnchanged);
    const large = mayBeLarge ? this.#large(view, oldTuple) : '';
    if (side === 'old') return { absent: isFull ? '' : KEY_ONLY, large };
    const absent = isFull || !view.hasUnchanged ? '' : this.#indexes((index) => view.isUnchanged(index));
    return { absent, large };
  }

  #large(view: TupleView, oldTuple: Tuple | null): string {
    const old = view.hasUnchanged && oldTuple !== null ? this.#old.read(oldTuple) : view;
    return this.#indexes((index) => (view.isUnchanged(index) ? old : view).textBytes(index) > MAX_JUDGED_TEXT_BYTES);
  }

  #indexes(isWanted: (index: number) => boolean): string {
    return this.#relation.columns.flatMap((_, index) => (isWanted(index) ? [index] : [])).join();
  }

  #places({ absent, large }: Missing): (string | null)[] {
    const left = new Set([...numbers(large), ...(absent === KEY_ONLY ? [] : numbers(absent))]);
    return this.#relation.columns.map(({ name, isKey }, index) =>
      left.has(index) || (absent === KEY_ONLY && !isKey) ? null : name,
    );
  }
}

/** Indexes of columns as text; `key` for all but those of the key. */
type Missing = { readonly absent: string; readonly large: string };

const KEY_ONLY = 'key';

function numbers(list: string): number[] {
  return list === '' ? [] : list.split(',').map(Number);
}

const SPECIAL = /["\\]/;
const SPECIALS = /["\\]/g;

function quoted(view: TupleView, index: number): string {
  const { buffer, byteOffset } = view.bytes;
  const start = view.start(index);
  const text = Buffer.from(buffer, byteOffset + start, view.end(index) - start).toString('utf8');
  return `"${SPECIAL.test(text) ? text.replace(SPECIALS, '\\$&') : text}"`;
}
