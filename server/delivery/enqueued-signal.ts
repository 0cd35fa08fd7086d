// Owns the word that webhook deliveries wait: the journal says it after its COMMIT, and whoever works on them listens. It
// carries nothing and may be missed: the deliveries are in the database.

export class EnqueuedSignal {
  readonly #listeners = new Set<() => void>();

  listen(listener: () => void): void {
    this.#listeners.add(listener);
  }

  tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
