// Owns what readers of the WAL are told and what they tell, the same for the subject and its baseline.

export type ReadOrder = {
  readonly databaseUrl: string;
  readonly slot: string;
  readonly publications: readonly string[];
  /** It ends with the last of so many rows. */
  readonly rows: number;
};

export type ReadResult = {
  /** From START_REPLICATION to the last row. */
  readonly tookMs: number;
  readonly firstRowMs: number;
  /** Of the reading process, in that time. */
  readonly cpuMicros: number;
};
