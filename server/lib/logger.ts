// Owns the shape of a logger as rooms see it. pino fulfils it; tests pass a collecting one.
// Fields, not prose; never a token, never a payload.

export type LogFields = Record<string, unknown>;

export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}
