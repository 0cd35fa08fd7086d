// Owns the grammar of `filter.where`: JSON to a tree, with its limits. What columns exist and what SQL the
// tree means is the policies room's. Pure, and runs in a browser.
//
// A key is a column, except `not`, and except `and` and `or` with a list: a column called `and` or `or` is
// named with an operator, `{"and": {"eq": 1}}`; one called `not` cannot be named.

export type WhereScalar = string | number | boolean;
/** Arrays stand for values of array columns. */
export type WhereValue = WhereScalar | readonly WhereArrayItem[];
export type WhereArrayItem = WhereScalar | null | readonly WhereArrayItem[];
export type Comparison = 'eq' | 'neq' | 'gt' | 'gte' | 'lt' | 'lte';

/** What stands at the ends of the tree: one operator on one column. */
export type WhereLeaf =
  | { readonly kind: 'compare'; readonly column: string; readonly operator: Comparison; readonly value: WhereValue }
  | { readonly kind: 'in'; readonly column: string; readonly values: readonly WhereValue[] }
  | { readonly kind: 'like'; readonly column: string; readonly pattern: string; readonly ignoresCase: boolean }
  | { readonly kind: 'is'; readonly column: string; readonly what: 'null' | 'not null' | 'true' | 'false' };

export type Where =
  | { readonly kind: 'and' | 'or'; readonly terms: readonly Where[] }
  | { readonly kind: 'not'; readonly term: Where }
  | WhereLeaf;

export type WhereResult =
  | { readonly ok: true; readonly where: Where }
  | { readonly ok: false; readonly message: string };

/** Objects nested by `and`, `or` and `not`; the outermost is the first. */
export const MAX_WHERE_DEPTH = 8;
/** Operators in one `where`. */
export const MAX_WHERE_LEAVES = 64;
/** Values of `in` and items of arrays in one `where`, all together. */
export const MAX_WHERE_VALUES = 1_000;
/** UTF-16 units in the pattern of `like` and `ilike`. */
export const MAX_PATTERN_LENGTH = 256;
/** Dimensions of an array, as many as PostgreSQL has. */
export const MAX_ARRAY_DEPTH = 6;

const COMPARISONS: readonly string[] = ['eq', 'neq', 'gt', 'gte', 'lt', 'lte'] satisfies readonly Comparison[];
const OPERATORS = [...COMPARISONS, 'in', 'like', 'ilike', 'is'];
const IS = new Map<unknown, 'null' | 'not null' | 'true' | 'false'>([
  [null, 'null'],
  ['not null', 'not null'],
  [true, 'true'],
  [false, 'false'],
]);
const PLAIN_KEY = /^[\p{L}_][\p{L}\p{N}_]*$/u;
const MAX_SHOWN = 63;

/** Reads `filter.where`. Never throws; the message names the first place at fault. */
export function parseWhere(json: unknown): WhereResult {
  try {
    return { ok: true, where: readObject(json, 'where', 1, { leaves: 0, values: 0 }) };
  } catch (error) {
    if (error instanceof WhereFault) return { ok: false, message: error.message };
    throw error;
  }
}

/** Every column that the tree names. */
export function columnsOf(where: Where): ReadonlySet<string> {
  return new Set(leavesOf(where).map((leaf) => leaf.column));
}

/** The leaves of the tree, from left to right. */
export function leavesOf(where: Where): readonly WhereLeaf[] {
  if (where.kind === 'not') return leavesOf(where.term);
  return 'terms' in where ? where.terms.flatMap(leavesOf) : [where];
}

/** How names and values of a client are shown in a message: quoted, and cut. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= MAX_SHOWN + 2 ? text : `${text.slice(0, MAX_SHOWN)}…`;
}

class WhereFault extends Error {}

/** What has been read so far, of the whole `where`. */
type Tally = { leaves: number; values: number };

function readObject(json: unknown, path: string, depth: number, tally: Tally): Where {
  if (!isObject(json)) fault(path, 'must be an object');
  if (depth > MAX_WHERE_DEPTH) fault(path, `is nested deeper than ${MAX_WHERE_DEPTH}`);
  const keys = Object.keys(json);
  if (keys.length === 0) fault(path, 'must not be empty');
  return joined(
    'and',
    keys.map((key) => readEntry(key, json[key], `${path}${step(key)}`, depth, tally)),
  );
}

function readEntry(key: string, value: unknown, path: string, depth: number, tally: Tally): Where {
  if (key === 'not') return { kind: 'not', term: readObject(value, path, depth + 1, tally) };
  if ((key === 'and' || key === 'or') && !isObject(value)) return readTerms(key, value, path, depth, tally);
  return readColumn(key, value, path, tally);
}

function readTerms(kind: 'and' | 'or', value: unknown, path: string, depth: number, tally: Tally): Where {
  if (!Array.isArray(value) || value.length === 0) fault(path, 'takes a list of at least one object');
  const terms: Where[] = [];
  // One by one, so that the first term beyond the limits ends it, however long the list is.
  for (const [index, term] of value.entries()) terms.push(readObject(term, `${path}[${index}]`, depth + 1, tally));
  return joined(kind, terms);
}

function readColumn(column: string, value: unknown, path: string, tally: Tally): Where {
  if (value === null) return countLeaf({ kind: 'is', column, what: 'null' }, path, tally);
  if (Array.isArray(value)) fault(path, 'takes no bare list; use {"in": […]}, or {"eq": […]} for an array column');
  if (!isObject(value)) {
    return countLeaf({ kind: 'compare', column, operator: 'eq', value: readScalar(value, path) }, path, tally);
  }
  const operators = Object.keys(value);
  if (operators.length === 0) fault(path, 'must not be empty');
  return joined(
    'and',
    operators.map((operator) => {
      const place = `${path}${step(operator)}`;
      return countLeaf(readOperator(column, operator, value[operator], place, tally), place, tally);
    }),
  );
}

function readOperator(column: string, operator: string, value: unknown, path: string, tally: Tally): WhereLeaf {
  if (COMPARISONS.includes(operator)) {
    return { kind: 'compare', column, operator: operator as Comparison, value: readValue(value, path, tally) };
  }
  if (operator === 'in') return { kind: 'in', column, values: readValues(value, path, tally) };
  if (operator === 'like' || operator === 'ilike') {
    return { kind: 'like', column, pattern: readPattern(value, path), ignoresCase: operator === 'ilike' };
  }
  if (operator !== 'is') fault(path, `is no operator; there are ${OPERATORS.join(', ')}`);
  const what = IS.get(value);
  if (what === undefined) fault(path, 'takes null, true, false or "not null"');
  return { kind: 'is', column, what };
}

function readValues(value: unknown, path: string, tally: Tally): WhereValue[] {
  if (!Array.isArray(value) || value.length === 0) fault(path, 'takes a list of at least one value');
  countValues(value, path, tally);
  return value.map((item, index) => readValue(item, `${path}[${index}]`, tally));
}

function readValue(value: unknown, path: string, tally: Tally): WhereValue {
  if (value === null) fault(path, 'takes no null; use {"is": null} or {"is": "not null"}');
  return Array.isArray(value) ? readArray(value, path, 1, tally) : readScalar(value, path);
}

function readArray(items: readonly unknown[], path: string, depth: number, tally: Tally): WhereArrayItem[] {
  if (depth > MAX_ARRAY_DEPTH) fault(path, `is an array of more than ${MAX_ARRAY_DEPTH} dimensions`);
  countValues(items, path, tally);
  return items.map((item, index) => {
    const place = `${path}[${index}]`;
    if (item === null) return null;
    return Array.isArray(item) ? readArray(item, place, depth + 1, tally) : readScalar(item, place);
  });
}

function readScalar(value: unknown, path: string): WhereScalar {
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string') return readText(value, path);
  if (typeof value !== 'number') fault(path, 'takes a text, a number or a boolean');
  if (!Number.isFinite(value)) fault(path, 'is no finite number; write "Infinity", "-Infinity" or "NaN" as a text');
  // Reading JSON has rounded it already, and the filter would mean another number than the client wrote.
  if (Math.abs(value) > Number.MAX_SAFE_INTEGER) fault(path, 'is a number too large to be exact; write it as a text');
  return value;
}

function readText(text: string, path: string): string {
  if (text.includes('\0')) fault(path, 'holds a zero byte, which no text in PostgreSQL does');
  if (!text.isWellFormed()) fault(path, 'holds half a surrogate pair');
  return text;
}

function readPattern(value: unknown, path: string): string {
  if (typeof value !== 'string') fault(path, 'takes a text');
  if (value.length > MAX_PATTERN_LENGTH) fault(path, `has more than ${MAX_PATTERN_LENGTH} characters`);
  if (endsInEscape(value)) fault(path, 'must not end in a backslash that escapes nothing');
  return readText(value, path);
}

/** LIKE raises on such a pattern, but only for rows that match it up to there. */
function endsInEscape(pattern: string): boolean {
  let end = pattern.length;
  while (pattern[end - 1] === '\\') end -= 1;
  return (pattern.length - end) % 2 === 1;
}

/** The terms as one: a list of one is its only term. */
function joined(kind: 'and' | 'or', terms: readonly Where[]): Where {
  return terms.length === 1 ? (terms[0] as Where) : { kind, terms };
}

function countLeaf(leaf: WhereLeaf, path: string, tally: Tally): WhereLeaf {
  tally.leaves += 1;
  if (tally.leaves > MAX_WHERE_LEAVES)
    fault(path, `is one condition too many; a where has ${MAX_WHERE_LEAVES} at most`);
  return leaf;
}

function countValues(values: readonly unknown[], path: string, tally: Tally): void {
  tally.values += values.length;
  if (tally.values > MAX_WHERE_VALUES) fault(path, `holds too many values; a where has ${MAX_WHERE_VALUES} at most`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function step(key: string): string {
  return PLAIN_KEY.test(key) && key.length <= MAX_SHOWN ? `.${key}` : `[${shown(key)}]`;
}

function fault(path: string, what: string): never {
  throw new WhereFault(`${path} ${what}`);
}
