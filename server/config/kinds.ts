// Owns the kinds of values that a setting may have: how the text of a flag, a variable or a file line is
// read, which schema the value must then meet, and how both are put into words for whoever got it wrong.

import { isIP } from 'node:net';
import { type Static, type TSchema, Type } from 'typebox';
import { Value } from 'typebox/value';

export type Kind<T> = {
  readonly schema: TSchema;
  /** Completes "must be …". */
  readonly says: string;
  /** A right value, as text. */
  readonly example: string;
  /** Reads text to the value that the schema judges; undefined if it has not even the form. */
  readonly read: (text: string) => unknown;
  /** Writes a value as text that `read` would take. */
  readonly write: (value: T) => string;
};

/** Reads and checks one text. */
export function readValue<T>(kind: Kind<T>, text: string): { ok: true; value: T } | { ok: false } {
  const value = kind.read(text.trim());
  return value !== undefined && Value.Check(kind.schema, value) ? { ok: true, value: value as T } : { ok: false };
}

function kind<S extends TSchema>(
  schema: S,
  says: string,
  example: string,
  read: (text: string) => unknown,
  write: (value: Static<S>) => string = String,
): Kind<Static<S>> {
  return { schema, says, example, read, write };
}

/** Any text that is not empty, optionally of a form. */
export function text(says: string, example: string, pattern = '.'): Kind<string> {
  return kind(Type.String({ minLength: 1, pattern }), says, example, (given) => given);
}

/** A SQL name as Rowcast uses them unquoted: also what PostgreSQL allows for a slot. */
export function sqlName(example: string): Kind<string> {
  return text('1 to 40 lower-case letters, digits and underscores', example, '^[a-z0-9_]{1,40}$');
}

/** A whole number in a range. */
export function integer(minimum: number, maximum: number, example: number): Kind<number> {
  const says = `a whole number from ${minimum} to ${maximum}`;
  return kind(Type.Integer({ minimum, maximum }), says, String(example), (given) =>
    /^-?\d+$/.test(given) ? Number(given) : undefined,
  );
}

export const flag: Kind<boolean> = kind(Type.Boolean(), 'true or false', 'true', (given) => {
  const word = given.toLowerCase();
  if (['true', 'on', 'yes', '1', ''].includes(word)) return true;
  return ['false', 'off', 'no', '0'].includes(word) ? false : undefined;
});

/** One word out of a list. */
export function choice<const W extends string>(words: readonly W[]): Kind<W> {
  const schema = Type.Unsafe<W>(Type.String({ pattern: `^(${words.join('|')})$` }));
  return kind(schema, `one of ${words.join(', ')}`, words[0] ?? '', (given) => given.toLowerCase()) as Kind<W>;
}

const DURATION_MS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const DURATION_TEXT = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/;

/** A span of time in milliseconds, written `500ms`, `10s`, `5m`, `1h`, `7d`. */
export function duration(minimum: string, maximum: string, example: string): Kind<number> {
  const schema = Type.Number({ minimum: durationMs(minimum) ?? 0, maximum: durationMs(maximum) ?? 0 });
  return kind(schema, `a time from ${minimum} to ${maximum}, with its unit`, example, durationMs, writeDuration);
}

/** Milliseconds of `10s` and the like; undefined without a unit. */
export function durationMs(given: string): number | undefined {
  const match = DURATION_TEXT.exec(given.toLowerCase());
  if (!match) return given === '0' ? 0 : undefined;
  return Math.round(Number(match[1]) * DURATION_MS[match[2] as keyof typeof DURATION_MS]);
}

function writeDuration(ms: number): string {
  const unit = (['d', 'h', 'm', 's'] as const).find((name) => ms > 0 && ms % DURATION_MS[name] === 0) ?? 'ms';
  return `${ms / DURATION_MS[unit]}${unit}`;
}

const BYTES = { b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3, tib: 1024 ** 4 } as const;
const BYTES_TEXT = /^(\d+(?:\.\d+)?)\s*([kmgt]?)i?(b?)$/;

/** A size in bytes, written `65536`, `64KiB`, `1MiB`, `8GiB` (`kB`, `MB`, `GB` mean the same, as in PostgreSQL). */
export function bytes(minimum: string, maximum: string, example: string): Kind<number> {
  const schema = Type.Integer({ minimum: byteCount(minimum) ?? 0, maximum: byteCount(maximum) ?? 0 });
  return kind(schema, `a size from ${minimum} to ${maximum}`, example, byteCount, writeBytes);
}

function byteCount(given: string): number | undefined {
  const match = BYTES_TEXT.exec(given.toLowerCase());
  if (!match) return undefined;
  const unit = match[2] === '' ? 'b' : (`${match[2]}ib` as keyof typeof BYTES);
  return Math.round(Number(match[1]) * BYTES[unit as keyof typeof BYTES]);
}

function writeBytes(count: number): string {
  const units = [['TiB', BYTES.tib] as const, ['GiB', BYTES.gib] as const, ['MiB', BYTES.mib] as const];
  const [name, size] = [...units, ['KiB', BYTES.kib] as const].find(([, size]) => count > 0 && count % size === 0) ?? [
    '',
    1,
  ];
  return `${count / size}${name}`;
}

/** Entries separated by commas; blanks around them do not count. Empty text is an empty list. */
export function list(says: string, example: string, pattern: string, maxItems = 100): Kind<string[]> {
  const schema = Type.Array(Type.String({ pattern }), { maxItems });
  return kind(schema, `${says}, separated by commas`, example, splitList, (items) => items.join(','));
}

/** Networks as `10.0.0.0/8` or single addresses, separated by commas. */
export const networks: Kind<string[]> = {
  ...list('networks or addresses', '10.0.0.0/8,192.168.1.7', '^[0-9a-fA-F:.]+(/\\d{1,3})?$'),
  read: (given) => (splitList(given).every(isNetwork) ? splitList(given) : undefined),
};

function isNetwork(entry: string): boolean {
  const [address = '', bits, ...rest] = entry.split('/');
  const family = isIP(address);
  return family !== 0 && rest.length === 0 && (bits === undefined || Number(bits) <= (family === 4 ? 32 : 128));
}

/** An absolute URL of one of the given schemes. */
export function url(schemes: readonly string[], example: string): Kind<string> {
  const says = `a URL that begins with ${schemes.map((scheme) => `${scheme}://`).join(' or ')}`;
  return kind(Type.String(), says, example, (given) => {
    const parsed = URL.canParse(given) ? new URL(given) : undefined;
    return parsed && schemes.includes(parsed.protocol.slice(0, -1)) && parsed.host !== '' ? given : undefined;
  });
}

function splitList(given: string): string[] {
  return given
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}
