// Owns what the publishing process is told and what it tells.

export type PublishOrder = {
  readonly port: number;
  readonly token: string;
  readonly databaseUrl: string;
  readonly channel: string;
  /** Publishers at once; each publishes its next message when the last one is confirmed. */
  readonly publishers: number;
  readonly messagesEach: number;
};

/** Milliseconds from sending to confirmation, of every message. */
export type Published = { readonly elapsedMs: number; readonly latenciesMs: Float64Array };
