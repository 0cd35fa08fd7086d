// Owns the bounds of judging rows, and what it counts: as the composition root sets and connects them.

export type JudgeSettings = {
  /** Questions times images in one call. */
  readonly maxPairs: number;
  /** After this a call answers for what it has judged so far. */
  readonly budgetMs: number;
};

export interface JudgeCounters {
  /** A call was answered: so many questions times images, in so many milliseconds. */
  judged(pairs: number, ms: number): void;
  /** So many rows were denied to somebody because a policy or filter raised. */
  raised(rows: number): void;
  /** A question was put into quarantine. */
  quarantined(): void;
}
