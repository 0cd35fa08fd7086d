// Owns the reading of an ErrorResponse on the replication connection
// (https://www.postgresql.org/docs/18/protocol-error-fields.html). What a code means is db/sqlstate.ts.

const FIELD = { severity: 'V', code: 'C', message: 'M', detail: 'D', hint: 'H' } as const;

/** An error that the database reported on the stream; `code` is its SQLSTATE, as in pg's own errors. */
export class ServerError extends Error {
  override readonly name = 'ServerError';
  readonly code: string;

  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

/** Reads the body of an ErrorResponse. */
export function serverError(bytes: Buffer, start: number, end: number): ServerError {
  const fields = new Map<string, string>();
  for (let at = start; at < end && bytes[at] !== 0; ) {
    const stop = bytes.indexOf(0, at + 1);
    if (stop < 0 || stop >= end) break;
    fields.set(String.fromCharCode(bytes[at] as number), bytes.toString('utf8', at + 1, stop));
    at = stop + 1;
  }
  const detail = fields.get(FIELD.detail);
  const message = fields.get(FIELD.message) ?? 'unknown error';
  return new ServerError(detail === undefined ? message : `${message} (${detail})`, fields.get(FIELD.code) ?? 'XX000');
}
