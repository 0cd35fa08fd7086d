// Owns the shape of the answer to "may traffic come here?". Whoever knows the stream and the database
// reports it; the gateway only prints it.

export type HealthReason = {
  /** Stable, for machines: `stream_down`, `migrations_missing`. */
  readonly code: string;
  /** For people; names no table, since everybody may read it. */
  readonly message: string;
  /** Shown to admins only, as is what an error said: it may name tables and values. */
  readonly table?: string | undefined;
  readonly detail?: string | undefined;
};

export type HealthReport = { readonly ready: boolean; readonly reasons: readonly HealthReason[] };
