// Owns which questions raised for every row of a batch lately: the next batch tries a few rows of theirs
// before each row is tried apart, because taking every row apart for nothing costs the stream.

/** Fewer rows than this say nothing about the next ones. */
const MIN_ROWS = 8;
const MAX_KEPT = 10_000;

export class Suspects {
  readonly #keys = new Set<string>();

  has(key: string): boolean {
    return this.#keys.has(key);
  }

  /** The question `key` raised for `raised` of `rows` rows. */
  note(key: string, raised: number, rows: number): void {
    if (raised < rows) this.#keys.delete(key);
    else if (rows >= MIN_ROWS) this.#keys.add(key);
    if (this.#keys.size > MAX_KEPT) this.#keys.clear();
  }
}
