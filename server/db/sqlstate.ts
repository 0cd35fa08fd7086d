// Owns the meaning of SQLSTATEs and socket errors: the only file that knows their codes. Callers switch over
// `kind`. https://www.postgresql.org/docs/18/errcodes-appendix.html

export type DatabaseFailureKind =
  /** The connection broke or could not be made; nothing is known about the statement. */
  | 'connection_lost'
  /** The database is stopping, starting or recovering (57P01–57P03): let go of it, reconnect with backoff. */
  | 'shutting_down'
  /** Login refused: password, pg_hba.conf, unknown role or database. */
  | 'login_refused'
  | 'too_many_connections'
  | 'permission_denied'
  /** 57014: statement_timeout, or a cancel. */
  | 'query_cancelled'
  /** 55P03: lock_timeout, or nowait. */
  | 'lock_timeout'
  /** 25P03, 57P05: an idle session or transaction was ended by its timeout. */
  | 'idle_timeout'
  /** 55006: a slot, or another object, is used by someone else. */
  | 'object_in_use'
  /** 55000: not in the state for this, e.g. a slot that lost its WAL, or wal_level below logical. */
  | 'not_in_required_state'
  | 'serialization'
  | 'undefined_table'
  | 'undefined_column'
  | 'undefined_function'
  | 'undefined_object'
  /** 42809: a view where a table is wanted, and the like. */
  | 'wrong_object_type'
  /** 0A000 */
  | 'not_supported'
  | 'duplicate_object'
  | 'unique_violation'
  | 'foreign_key_violation'
  | 'check_violation'
  | 'not_null_violation'
  /** 22xxx: a value that its type or function does not accept. */
  | 'data_exception'
  /** 54xxx: nested too deep, too long, too many columns for the server. */
  | 'limit_exceeded'
  | 'syntax_error'
  | 'read_only'
  /** 53xxx but connections: disk full, out of memory. */
  | 'insufficient_resources'
  /** 58xxx, XX…: something is broken on the server's side. */
  | 'server_broken'
  | 'other';

export type DatabaseFailure = {
  readonly kind: DatabaseFailureKind;
  /** Five characters; undefined where the failure did not come from Postgres. */
  readonly sqlstate: string | undefined;
  readonly message: string;
  readonly detail: string | undefined;
  readonly hint: string | undefined;
  readonly constraint: string | undefined;
};

const BY_CODE: Readonly<Record<string, DatabaseFailureKind>> = {
  '57P01': 'shutting_down',
  '57P02': 'shutting_down',
  '57P03': 'shutting_down',
  '57P05': 'idle_timeout',
  '25P03': 'idle_timeout',
  '57014': 'query_cancelled',
  '55P03': 'lock_timeout',
  '55006': 'object_in_use',
  '55000': 'not_in_required_state',
  '42501': 'permission_denied',
  '42P01': 'undefined_table',
  '42703': 'undefined_column',
  '42883': 'undefined_function',
  '42704': 'undefined_object',
  '3F000': 'undefined_object',
  '42809': 'wrong_object_type',
  '0A000': 'not_supported',
  '42710': 'duplicate_object',
  '42P07': 'duplicate_object',
  '42P06': 'duplicate_object',
  '42601': 'syntax_error',
  '23505': 'unique_violation',
  '23503': 'foreign_key_violation',
  '23514': 'check_violation',
  '23502': 'not_null_violation',
  '25006': 'read_only',
  '53300': 'too_many_connections',
  '3D000': 'login_refused',
};

const BY_CLASS: Readonly<Record<string, DatabaseFailureKind>> = {
  '08': 'connection_lost',
  '22': 'data_exception',
  '28': 'login_refused',
  '40': 'serialization',
  '53': 'insufficient_resources',
  '54': 'limit_exceeded',
  '58': 'server_broken',
  XX: 'server_broken',
};

const SQLSTATE = /^[0-9A-Z]{5}$/;
const SOCKET_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_STREAM_DESTROYED',
]);
// What pg throws without a code when its socket goes away under it.
const LOST_MESSAGE =
  /^(Connection terminated|Query read timeout|timeout expired|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed)/;

/** Says what kind of failure `error` is. Never throws; an error of another origin is `other`. */
export function classifyDatabaseError(error: unknown): DatabaseFailure {
  const fields = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>;
  const message = error instanceof Error ? error.message : String(error);
  const code = text(fields.code);
  const sqlstate = code !== undefined && SQLSTATE.test(code) && !SOCKET_CODES.has(code) ? code : undefined;
  return {
    kind: kindOf(sqlstate, code, message),
    sqlstate,
    message,
    detail: text(fields.detail),
    hint: text(fields.hint),
    constraint: text(fields.constraint),
  };
}

/** Whether the same thing may work on a new connection a little later. */
export function isTransient(kind: DatabaseFailureKind): boolean {
  return TRANSIENT.has(kind);
}

/** Whether the same question may well be answered later: also what was cut off by its timeout. */
export function mayPass(kind: DatabaseFailureKind): boolean {
  return isTransient(kind) || kind === 'query_cancelled';
}

const TRANSIENT: ReadonlySet<DatabaseFailureKind> = new Set([
  'connection_lost',
  'shutting_down',
  'too_many_connections',
  'lock_timeout',
  'idle_timeout',
  'object_in_use',
  'serialization',
  'insufficient_resources',
]);

function kindOf(sqlstate: string | undefined, code: string | undefined, message: string): DatabaseFailureKind {
  if (sqlstate !== undefined) return BY_CODE[sqlstate] ?? BY_CLASS[sqlstate.slice(0, 2)] ?? 'other';
  if (code !== undefined && SOCKET_CODES.has(code)) return 'connection_lost';
  return LOST_MESSAGE.test(message) ? 'connection_lost' : 'other';
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
